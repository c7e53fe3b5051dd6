# Copyright (c) mmdefusion authors. All rights reserved.
import os
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def _stub(path: Path, body: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/usr/bin/env bash\n{body}\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def launch(tmp_path):
    """Give a function that runs a script with stand-ins for python, srun and scontrol, which print how they are called.

    The stand-in for srun runs its command as a cluster would do on the second of two nodes.
    """
    folder = tmp_path / 'bin'
    python = _stub(folder / 'python', 'printf "%s\\n" "$@"; echo "PYTHONPATH $PYTHONPATH"')
    _stub(folder / 'scontrol', '[ "$*" = "show hostnames node[1-2]" ] && printf "node1\\nnode2\\n"')
    _stub(
        folder / 'srun',
        'while [ "$1" != bash ]; do echo "srun $1"; shift; done\n'
        'SLURM_NNODES=2 SLURM_NODEID=1 SLURM_JOB_NODELIST="node[1-2]" "$@"',
    )

    def run(script, *arguments, **variables):
        unset = {'NNODES', 'NODE_RANK', 'MASTER_ADDR', 'PORT', 'GPUS', 'GPUS_PER_NODE', 'GRES', 'SRUN_ARGS'}
        unset |= {'MAX_RESTARTS', 'TORCHRUN_ARGS'}
        environment = {name: value for name, value in os.environ.items() if name not in unset}
        environment.update(PATH=f'{folder}:{os.environ["PATH"]}', PYTHON=str(python), **variables)
        return subprocess.run(
            [str(TOOLS / script), *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True
        )

    return run


def test_dist_train_on_one_machine(launch):
    lines = launch('dist_train.sh', 'my config.py', '2', '--amp', '--cfg-options', 'a="b c"').stdout.splitlines()
    assert lines[:-1] == [
        '-m',
        'torch.distributed.run',
        '--nnodes=1',
        '--node_rank=0',
        '--master_addr=127.0.0.1',
        '--master_port=29500',
        '--nproc_per_node=2',
        str(TOOLS / 'train.py'),
        'my config.py',
        '--launcher',
        'pytorch',
        '--amp',
        '--cfg-options',
        'a="b c"',
    ]
    first_on_path = lines[-1].removeprefix('PYTHONPATH ').split(':')[0]
    assert Path(first_on_path).resolve() == TOOLS.parent


@pytest.mark.parametrize('resume', [('--resume', 'a.pth'), ('--resume=a.pth',)])
def test_restarts_do_not_begin_at_one_file_again(launch, resume):
    done = launch('dist_train.sh', 'config.py', '2', '--amp', *resume, MAX_RESTARTS='3')
    assert done.returncode == 2 and '--resume CHECKPOINT would begin there again' in done.stderr
    assert launch('dist_train.sh', 'config.py', '2', '--resume', '--amp', MAX_RESTARTS='3').returncode == 0
    assert launch('dist_train.sh', 'config.py', '2', '--amp', *resume).returncode == 0


def test_dist_train_starts_again_from_the_last_checkpoint(launch):
    elastic = dict(NNODES='1:4', NODE_RANK='2', MASTER_ADDR='head', PORT='7', MAX_RESTARTS='3')
    done = launch('dist_train.sh', 'config.py', '8', '--amp', TORCHRUN_ARGS='--local_addr me', **elastic)
    assert done.stdout.splitlines()[2:-1] == [
        '--nnodes=1:4',
        '--max_restarts=3',
        '--rdzv_backend=c10d',
        '--rdzv_id=mmdefusion-7',
        '--rdzv_endpoint=head:7',
        '--rdzv_conf=is_host=0',
        '--nproc_per_node=8',
        '--local_addr',
        'me',
        str(TOOLS / 'train.py'),
        'config.py',
        '--launcher',
        'pytorch',
        '--resume',
        '--amp',
    ]
    lines = launch('dist_train.sh', 'config.py', '2', MAX_RESTARTS='1').stdout.splitlines()
    assert '--rdzv_conf=is_host=1' in lines and '--rdzv_endpoint=127.0.0.1:29500' in lines


def test_dist_test_on_several_machines(launch):
    lines = launch(
        'dist_test.sh',
        'config.py',
        'weights.pth',
        '4',
        '--tta',
        NNODES='3',
        NODE_RANK='2',
        MASTER_ADDR='head',
        PORT='7',
    ).stdout.splitlines()
    assert lines[2:7] == ['--nnodes=3', '--node_rank=2', '--master_addr=head', '--master_port=7', '--nproc_per_node=4']
    assert lines[7:-1] == [str(TOOLS / 'test.py'), 'config.py', 'weights.pth', '--launcher', 'pytorch', '--tta']


def test_slurm_train_starts_one_launcher_per_node(launch):
    lines = launch('slurm_train.sh', 'gpu', 'job', 'config.py', 'out', '--amp', GPUS='8', GPUS_PER_NODE='4')
    lines = lines.stdout.splitlines()
    assert [line.removeprefix('srun ') for line in lines if line.startswith('srun ')] == [
        '--partition=gpu',
        '--job-name=job',
        '--gres=gpu:4',
        '--nodes=2',
        '--ntasks-per-node=1',
        '--cpus-per-task=20',
        '--kill-on-bad-exit=1',
    ]
    assert lines[9:14] == [
        '--nnodes=2',
        '--node_rank=1',
        '--master_addr=node1',
        '--master_port=29500',
        '--nproc_per_node=4',
    ]
    assert lines[14:-1] == [
        str(TOOLS / 'train.py'),
        'config.py',
        '--launcher',
        'pytorch',
        '--work-dir',
        'out',
        '--amp',
    ]


def test_slurm_test_without_gpus(launch):
    lines = launch(
        'slurm_test.sh', 'cpu', 'job', 'config.py', 'weights.pth', GPUS='2', GRES='', SRUN_ARGS='--time=5 --exclusive'
    ).stdout.splitlines()
    options = [line.removeprefix('srun ') for line in lines if line.startswith('srun ')]
    assert '--nodes=1' in options
    assert not [option for option in options if option.startswith('--gres')]
    assert options[-2:] == ['--time=5', '--exclusive']
    assert lines[-5:-1] == ['config.py', 'weights.pth', '--launcher', 'pytorch']


@pytest.mark.parametrize(
    ('script', 'arguments'),
    [
        ('dist_train.sh', ['config.py']),
        ('dist_test.sh', ['config.py', 'weights.pth']),
        ('slurm_train.sh', ['gpu', 'job', 'config.py']),
        ('slurm_test.sh', ['gpu', 'job', 'config.py']),
    ],
)
def test_missing_arguments_show_the_usage(launch, script, arguments):
    done = launch(script, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith('usage: ')


def test_slurm_refuses_processes_that_do_not_fill_the_nodes(launch):
    done = launch('slurm_train.sh', 'gpu', 'job', 'config.py', 'out', GPUS='6', GPUS_PER_NODE='4')
    assert done.returncode == 2
    assert 'GPUS is 6, but must be a multiple of GPUS_PER_NODE, which is 4' in done.stderr
