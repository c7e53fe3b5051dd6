# Copyright (c) mmdefusion authors. All rights reserved.
"""Kills a training with SIGKILL at random moments, resumes it each time, and compares the end with a quiet run.

Run as a script for the long version: ``python tests/test_tools/soak_of_kills.py --kills 20``. A kill takes the loader's
workers along, and falls anywhere: while starting, in a step, in an epoch's end, while a checkpoint is written.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint

from mmdefusion.testing import tiny_training_cfg


def make_config(folder, epochs):
    """The tests' training, made harder: two workers, accumulated gradients, and no checkpoint to spare."""
    config = tiny_training_cfg(folder, epochs)
    config['train_dataloader'].update(num_workers=2, persistent_workers=True)
    config['optim_wrapper'].update(accumulative_counts=2)
    config['default_hooks']['checkpoint'].update(max_keep_ckpts=1)
    return config


def train(config, work_dir):
    """Trains to the end, from the last checkpoint if there is one."""
    torch.set_num_threads(1)
    resume = find_latest_checkpoint(str(work_dir)) is not None
    Runner.from_cfg(Config({**config, 'work_dir': str(work_dir), 'resume': resume})).train()


def start(config, work_dir):
    """Trains in a copy of this process, with a process group of its own."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setpgid(0, 0)
        output = os.open(Path(work_dir, 'output.txt'), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        train(config, work_dir)
        status = 0
    finally:
        os._exit(status)


def check(status, work_dir):
    """Raises an error if a training has failed."""
    if status:
        raise RuntimeError(f'training failed:\n{Path(work_dir, "output.txt").read_text()}')


def cpu_seconds(pid):
    """Processor time of a running process; other than the clock, it does not depend on what else the machine does."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def kill_after(pid, seconds, delay, work_dir):
    """Kills a training and its workers after so much of its processor time, and ``delay`` on the clock.

    Returns:
        False if it came to its end before.
    """
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            check(status, work_dir)
            return False
        if cpu_seconds(pid) >= seconds:
            time.sleep(delay)
            os.killpg(pid, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        time.sleep(0.002)


def last_checkpoint(work_dir):
    """The state that the folder's last checkpoint has; None before the first one."""
    path = find_latest_checkpoint(str(work_dir))
    return path and torch.load(path, map_location='cpu', weights_only=True)


def differences(first, second, name=''):
    """Names of the tensors and numbers in which two states differ."""
    if isinstance(first, dict):
        missing = [f'{name}.{key}' for key in first.keys() ^ second.keys()]
        return missing + [
            item
            for key in first.keys() & second.keys()
            for item in differences(first[key], second[key], f'{name}.{key}')
        ]
    if isinstance(first, (list, tuple)):
        return [
            item
            for index, pair in enumerate(zip(first, second, strict=True))
            for item in differences(*pair, f'{name}.{index}')
        ]
    same = torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second
    return [] if same else [name]


def soak(kills, folder, epochs=3, seed=0, report=print):
    """Trains, kills and resumes; whenever a killed training gets to its end, it is compared and another one begins.

    Returns:
        Kills, kills before the first checkpoint, trainings that were compared.
    """
    rng = random.Random(seed)
    config = make_config(folder, epochs)
    quiet = Path(folder, 'quiet')
    quiet.mkdir()
    before = os.times()
    check(os.waitpid(start(config, quiet), 0)[1], quiet)
    whole = os.times().children_user + os.times().children_system - before.children_user - before.children_system
    report(f'undisturbed: {whole:.1f} s of processor time')
    expected = last_checkpoint(quiet)
    done = early = compared = 0
    while done < kills or not compared:
        work_dir = Path(folder, f'killed_{compared}')
        work_dir.mkdir()
        while True:
            pid = start(config, work_dir)
            if done < kills:
                if kill_after(pid, rng.uniform(0, whole), rng.uniform(0, 0.05), work_dir):
                    done += 1
                    state = last_checkpoint(work_dir)
                    early += state is None
                    report(f'kill {done}: last checkpoint at iteration {state["meta"]["iter"] if state else 0}')
                    continue
            else:
                check(os.waitpid(pid, 0)[1], work_dir)
            break
        state = last_checkpoint(work_dir)
        for part in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers'):
            found = differences(expected[part], state[part])
            if found:
                raise AssertionError(f'{part} differs from that of the undisturbed run in {found[:5]}')
        compared += 1
        shutil.rmtree(work_dir)
    return done, early, compared


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kills', type=int, default=20, help='default 20')
    parser.add_argument('--epochs', type=int, default=3, help='epochs of ten steps (default 3)')
    parser.add_argument('--seed', type=int, default=0, help='of the random moments (default 0)')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        done, early, compared = soak(args.kills, folder, args.epochs, args.seed)
    print(f'{done} kills ({early} before the first checkpoint), {compared} trainings equal to the undisturbed run')


if __name__ == '__main__':
    sys.exit(main())
