# Copyright (c) mmdefusion authors. All rights reserved.
"""Trains on two hosts, kills a worker of the second one, and in the end may cut that host off.

The hosts are two network namespaces with addresses of their own and a cable (veth) between them; they share the file
system. Run as a script for the long version: ``python tests/test_tools/two_hosts.py FOLDER --cut``. With ``--hosts 1``
two processes of one host take their place, for machines that do not allow namespaces.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mmengine.config import Config

from mmdefusion.testing import tiny_training_cfg

ROOT = Path(__file__).resolve().parents[2]
ADDRESSES = '10.77.0.1', '10.77.0.2'
LINKS = 'fusion0', 'fusion1'


def connect(pid):
    """Lays a cable from this namespace to that of another process."""
    there = ['nsenter', '-t', str(pid), '-n']
    commands = [
        ['ip', 'link', 'add', LINKS[0], 'type', 'veth', 'peer', 'name', LINKS[1], 'netns', str(pid)],
        ['ip', 'addr', 'add', f'{ADDRESSES[0]}/24', 'dev', LINKS[0]],
        [*there, 'ip', 'addr', 'add', f'{ADDRESSES[1]}/24', 'dev', LINKS[1]],
    ]
    for prefix, name in (([], LINKS[0]), (there, LINKS[1]), ([], 'lo'), (there, 'lo')):
        commands.append([*prefix, 'ip', 'link', 'set', name, 'up'])
    for command in commands:
        subprocess.run(command, check=True)
    return there


def start(folder, config, host, hosts, answer_seconds, prefix=()):
    """Starts what a user would start on one host."""
    # One for the worker that is killed and one for the host that is cut off; more in case that a meeting fails.
    variables = dict(PYTHON=sys.executable, OMP_NUM_THREADS='1', PORT='29577', MAX_RESTARTS='4')
    if hosts == 2:
        variables.update(
            NNODES='1:2',
            NODE_RANK=str(host),
            MASTER_ADDR=ADDRESSES[0],
            GLOO_SOCKET_IFNAME=LINKS[host],
            # Namespaces have no names that could be looked up. Others are waited for as long as for an answer, at most
            # 30 s, which is what torchrun does unless told; the rest is what dist_train.sh asks for.
            TORCHRUN_ARGS=f'--local_addr {ADDRESSES[host]} '
            f'--rdzv_conf is_host={int(host == 0)},last_call_timeout={min(answer_seconds, 30)}',
        )
    command = [*prefix, 'bash', ROOT / 'tools/dist_train.sh', config, str(2 // hosts), '--total-batch-size', '2']
    with open(folder / f'host{host}.txt', 'w') as output:
        return subprocess.Popen(
            command, env={**os.environ, **variables}, stdout=output, stderr=output, start_new_session=True
        )


def workers(launcher):
    """Training processes that a launcher has started."""
    children = Path(f'/proc/{launcher.pid}/task/{launcher.pid}/children').read_text().split()
    return [int(pid) for pid in children if b'train.py' in Path(f'/proc/{pid}/cmdline').read_bytes()]


def last_iteration(work_dir):
    """Iteration of the last checkpoint, 0 before the first one."""
    pointer = work_dir / 'last_checkpoint'
    return int(Path(pointer.read_text()).stem.removeprefix('iter_')) if pointer.exists() else 0


def wait_for(work_dir, iteration, launcher):
    """Waits until there is a checkpoint of an iteration or a later one."""
    while last_iteration(work_dir) < iteration:
        if launcher.poll() is not None:
            raise RuntimeError('training ended too early')
        time.sleep(0.05)


def run(folder, hosts, cut, answer_seconds):
    """One training of 40 iterations: long enough that a worker dies, and a host is cut off, well before its end.

    Returns:
        The iteration of the last checkpoint.
    """
    config = tiny_training_cfg(folder, max_epochs=4)
    config['env_cfg']['dist_cfg']['timeout'] = answer_seconds
    config['log_level'] = 'INFO'
    work_dir = Path(config['work_dir'])
    Config(config).dump(folder / 'config.py')
    other = subprocess.Popen(['unshare', '-n', 'sleep', '3600']) if hosts == 2 else None
    launchers = []
    try:
        prefix = []
        if other:
            time.sleep(1)
            prefix = connect(other.pid)
        launchers.append(start(folder, folder / 'config.py', 0, hosts, answer_seconds))
        if other:
            launchers.append(start(folder, folder / 'config.py', 1, hosts, answer_seconds, prefix))
        wait_for(work_dir, 2, launchers[0])
        os.kill(workers(launchers[-1])[-1], signal.SIGKILL)
        print('killed a worker', flush=True)
        if cut:
            wait_for(work_dir, 24, launchers[0])
            subprocess.run(['ip', 'link', 'set', LINKS[0], 'down'], check=True)
            print('cut the second host off', flush=True)
        for launcher in launchers[: 1 if cut else None]:
            if launcher.wait():
                raise RuntimeError('a host failed')
    finally:
        for process in [*launchers, *([other] if other else [])]:
            try:
                os.killpg(process.pid, signal.SIGKILL) if process is not other else other.kill()
            except ProcessLookupError:
                pass
    return last_iteration(work_dir)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path, help='for the data, the checkpoints and the output of both hosts')
    parser.add_argument('--hosts', type=int, choices=(1, 2), default=2, help='default 2')
    parser.add_argument('--cut', action='store_true', help='cut the second host off')
    parser.add_argument(
        '--answer-seconds', type=int, default=60, help='wait so long for the answer of a host (default 60)'
    )
    parser.add_argument('--inside', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.hosts == 2 and not args.inside:
        os.execvp('unshare', ['unshare', '-rn', sys.executable, *sys.argv, '--inside'])
    args.folder.mkdir(parents=True, exist_ok=True)
    print(f'trained to iteration {run(args.folder, args.hosts, args.cut, args.answer_seconds)}')


if __name__ == '__main__':
    sys.exit(main())
