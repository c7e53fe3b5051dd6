# Copyright (c) mmdefusion authors. All rights reserved.
import io
import os
import pickle
import uuid
from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import save_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from mmdefusion.utils import compat


def _save(content, **kwargs) -> io.BytesIO:
    buffer = io.BytesIO()
    torch.save(content, buffer, **kwargs)
    buffer.seek(0)
    return buffer


def _hub() -> MessageHub:
    hub = MessageHub.get_instance(f'test_compat_{uuid.uuid4()}')
    hub.update_scalar('loss', torch.tensor(1.5))
    hub.update_scalar('loss', 2.5)
    hub.update_scalar('count', 3)
    hub.update_scalar('single', np.float32(0.25))
    hub.update_info('iter', np.int64(7))
    hub.update_info('best', np.float32(0.5))
    hub.update_info('improved', np.bool_(True))
    return hub


@pytest.mark.smoke
def test_training_history_survives_a_checkpoint(tmp_path):
    path = tmp_path / 'checkpoint.pth'
    save_checkpoint(dict(state_dict=dict(weight=torch.arange(3.0)), message_hub=_hub().state_dict()), str(path))

    strict = torch.load(path, weights_only=True)
    by_mmengine = CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    strict_again = torch.load(path, weights_only=True)

    for checkpoint in (strict, by_mmengine, strict_again):
        assert checkpoint['state_dict']['weight'].tolist() == [0.0, 1.0, 2.0]
        scalars = checkpoint['message_hub']['log_scalars']
        values, counts = scalars['loss'].data
        assert values.tolist() == [1.5, 2.5]
        assert counts.tolist() == [1, 1]
        assert scalars['loss'].mean() == 2.0
        assert scalars['loss'].statistics('max') == 2.5
        assert scalars['count'].current() == 3
        assert scalars['single'].min() == 0.25
        info = checkpoint['message_hub']['runtime_info']
        assert (info['iter'], info['best'], info['improved']) == (7, 0.5, True)


@pytest.mark.parametrize('code', np.typecodes['AllInteger'] + np.typecodes['AllFloat'] + '?')
def test_numbers_of_every_type_load(code):
    value = np.ones(2, dtype=code)
    loaded = torch.load(_save([value, value[0]]), weights_only=True)
    assert loaded[0].dtype == value.dtype
    assert loaded[0].tolist() == [1, 1]
    assert loaded[1] == 1


def test_checkpoints_written_with_the_other_numpy_load():
    # In pickle's protocol 2 a global is a line of text, so the module can be renamed in place.
    buffer = _save(np.float64(2.5), pickle_protocol=2, _use_new_zipfile_serialization=False).getvalue()
    assert b'numpy._core.multiarray' in buffer or b'numpy.core.multiarray' in buffer
    new = buffer.replace(b'numpy.core.multiarray', b'numpy._core.multiarray')
    old = buffer.replace(b'numpy._core.multiarray', b'numpy.core.multiarray')
    assert new != old
    for content in (new, old):
        assert torch.load(io.BytesIO(content), weights_only=True) == 2.5


class _Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    'content',
    [
        _Call(getattr, HistoryBuffer, '__init__'),
        _Call(getattr, np.ndarray, 'tofile'),
        _Call(getattr, 'text', 'join'),
        _Call(os.system, 'true'),
    ],
)
def test_other_calls_stay_forbidden(content):
    with pytest.raises((pickle.UnpicklingError, ValueError), match='may not read the attribute|posix.system'):
        torch.load(_save(content), weights_only=True)


def test_applying_twice_changes_nothing():
    before = len(torch.serialization.get_safe_globals()), dict(MODULE2PACKAGE)
    compat.apply_compat()
    assert (len(torch.serialization.get_safe_globals()), dict(MODULE2PACKAGE)) == before


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Give a function that pretends an installation: distribution name to folder, module name to folder."""
    monkeypatch.setattr(compat, 'MODULE2PACKAGE', {'mmseg': 'mmsegmentation'})

    def pretend(distributions, modules):
        def distribution(name):
            if name not in distributions:
                raise metadata.PackageNotFoundError(name)
            return SimpleNamespace(locate_file=lambda path: tmp_path / distributions[name] / path)

        def find_spec(name):
            if name not in modules:
                return None
            return SimpleNamespace(origin=str(tmp_path / modules[name] / name / '__init__.py'))

        monkeypatch.setattr(compat.metadata, 'distribution', distribution)
        monkeypatch.setattr(compat, 'find_spec', find_spec)
        return compat.MODULE2PACKAGE

    return pretend


def test_mmseg_prefix_of_onedl_points_at_the_module(install, tmp_path):
    (tmp_path / 'site' / 'mmseg' / '.mim').mkdir(parents=True)
    names = install({'onedl-mmsegmentation': 'site'}, {'mmseg': 'site'})
    compat.register_package_names()
    assert names['mmseg'] == 'mmseg'


@pytest.mark.parametrize('distributions', [{'mmsegmentation': 'site'}, {}])
def test_mmseg_prefix_stays_where_official_or_absent(install, tmp_path, distributions):
    (tmp_path / 'site' / 'mmseg').mkdir(parents=True)
    names = install(distributions, {'mmseg': 'site'} if distributions else {})
    compat.register_package_names()
    assert names['mmseg'] == 'mmsegmentation'


def test_own_prefix_of_a_regular_install_and_of_plain_sources(install, tmp_path):
    (tmp_path / 'site' / 'mmdefusion').mkdir(parents=True)
    for distributions in ({'mmdefusion': 'site'}, {}):
        names = install(distributions, {})
        names.pop('mmdefusion', None)
        compat.register_package_names()
        assert names['mmdefusion'] == 'mmdefusion'


def test_own_prefix_of_an_editable_install_points_at_a_module_of_the_repository(install):
    names = install({'mmdefusion': 'site'}, {})
    compat.register_package_names()
    assert names['mmdefusion'] == 'mmdefusion.version'
