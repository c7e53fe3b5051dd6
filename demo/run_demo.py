# Copyright (c) mmdefusion authors. All rights reserved.
"""Fuse one sample pair of each task with the weights of the package, then pretrain a network for a minute or two.

Run it from the root of the repository; a second run uses the network that is there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from mmengine.runner import find_latest_checkpoint  # noqa: E402

from mmdefusion.apis import FusionInferencer  # noqa: E402
from mmdefusion.datasets.sample_pairs import SAMPLE_TASKS, export_photos, write_sample_pairs  # noqa: E402
from mmdefusion.utils.image_io import write_bytes, write_image  # noqa: E402

CONFIG = Path('configs/defusion/defusion-pp_nano_demo.py')
DEMO = Path('work_dirs/demo')
PHOTOS, PAIRS, TRAINING = DEMO / 'photos', DEMO / 'pairs', DEMO / 'pretraining'
WEIGHTS = DEMO / 'weights.pth'


def pretrain() -> None:
    """Train on scikit-image's photos with the ordinary training script."""
    export_photos(PHOTOS)
    command = [sys.executable, 'tools/train.py', str(CONFIG), '--work-dir', str(TRAINING)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]))
    subprocess.run(command, check=True, env=environment)
    checkpoint = find_latest_checkpoint(str(TRAINING))
    if checkpoint is None:
        raise FileNotFoundError(f'{TRAINING}: the training wrote no checkpoint')
    # Only a training that went through leaves this file, so a broken one is not taken for it later.
    write_bytes(WEIGHTS, Path(checkpoint).read_bytes())


def fuse_samples(fuse: FusionInferencer, panels_dir: Path, **outputs: Path) -> None:
    """Fuse the sample pairs and write one panel a task: sources, common, unique, fused."""
    pairs = [(PAIRS / 'source1' / f'{task}.png', PAIRS / 'source2' / f'{task}.png') for task in SAMPLE_TASKS]
    for task, panel in zip(SAMPLE_TASKS, fuse(pairs, parts=True, **outputs)['visualization'], strict=True):
        write_image(panels_dir / f'{task}.png', panel)
        print(f'  {ROOT / panels_dir / task}.png')


def main() -> None:
    """Fuse with the package's weights, pretrain if need be, fuse with the new ones."""
    start = time.perf_counter()
    os.chdir(ROOT)
    write_sample_pairs(PAIRS)
    print('Fused with the weights of the package, one panel a task (sources, common, unique, fused):')
    fuse_samples(FusionInferencer(show_progress=False), DEMO / 'panels', out_dir=DEMO / 'fused')
    if WEIGHTS.exists():
        print(f'Using the network in {WEIGHTS}; delete that file to train it again.')
    else:
        print(f'Pretraining a nano network with {CONFIG} ...', flush=True)
        pretrain()
    print('Fused after a minute of pretraining:')
    fuse_samples(FusionInferencer(str(CONFIG), str(WEIGHTS), show_progress=False), DEMO / 'pretrained_panels')
    print(f'Done in {time.perf_counter() - start:.0f} s.')


if __name__ == '__main__':
    main()
