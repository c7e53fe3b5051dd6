# Copyright (c) mmdefusion authors. All rights reserved.
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which('unzip') is None, reason='needs unzip')
def test_downloaded_coco_is_unpacked_to_where_the_config_looks(tmp_path):
    entry = yaml.safe_load((ROOT / 'dataset-index.yml').read_text())['coco2017']
    dataset = Config.fromfile(ROOT / 'configs/defusion_pretrain.py').train_dataloader.dataset
    assert entry['data_root'] == dataset.data_root.rstrip('/')
    archives = tmp_path / 'downloads/OpenDataLab___COCO_2017/raw/Images'
    archives.mkdir(parents=True)
    for part in ('train2017', 'val2017'):
        with zipfile.ZipFile(archives / f'{part}.zip', 'w') as archive:
            archive.writestr(f'{part}/000000000009.jpg', part)
    script = ROOT / entry['script']
    subprocess.run(['bash', script, tmp_path / 'downloads', tmp_path / 'coco'], check=True)
    assert (tmp_path / 'coco' / dataset.data_prefix.img_path / '000000000009.jpg').read_text() == 'train2017'
    assert (tmp_path / 'coco/val2017/000000000009.jpg').read_text() == 'val2017'
    (archives / 'val2017.zip').unlink()
    assert subprocess.run(['bash', script, tmp_path / 'downloads', tmp_path], capture_output=True).returncode != 0
    assert subprocess.run(['bash', script], capture_output=True, text=True).stderr.startswith('usage:')
