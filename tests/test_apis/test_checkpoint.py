# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch
from torch import nn

from mmdefusion.apis.checkpoint import embedded_config, load_all_weights, read_checkpoint


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_loads_every_tensor_whatever_lies_beside(model):
    other = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = {f'module.{name}': value + 1 for name, value in other.state_dict().items()}
    load_all_weights(model, dict(state_dict={**state, 'teacher.weight': torch.ones(1)}), 'a.pth')
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name] + 1)


def test_foreign_weights_raise(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r'a.pth does not fit Sequential: 0 of the 7 weights match, 7 are missing .*'):
        load_all_weights(model, dict(state_dict={'backbone.x': torch.ones(1)}), 'a.pth')
    for name, value in before.items():
        torch.testing.assert_close(model.state_dict()[name], value)


def test_part_missing_and_part_mismatched_raise(model):
    state = model.state_dict()
    del state['1.weight']
    state['0.weight'] = torch.zeros(5, 2)
    found = r'5 of the 7 weights match, 1 are missing \(1.weight\), 1 have another shape \(0.weight \(5, 2\) instead of'
    with pytest.raises(ValueError, match=found):
        load_all_weights(model, dict(state_dict=state), 'a.pth')


def test_plain_state_dict_is_a_checkpoint(tmp_path, model):
    torch.save(model.state_dict(), tmp_path / 'a.pth')
    assert read_checkpoint(str(tmp_path / 'a.pth'))['state_dict'].keys() == model.state_dict().keys()


@pytest.mark.parametrize('content', [b'', b'no checkpoint at all', b'\x80\x04}.'])
def test_other_files_are_named(tmp_path, content):
    path = tmp_path / 'a.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='a.pth: (cannot be read as a checkpoint|contains)'):
        load_all_weights(nn.Linear(1, 1), read_checkpoint(str(path)), str(path))


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    torch.save(dict(state_dict={}, hook=Harmful(str(tmp_path / 'ran'))), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='cannot be read as a checkpoint'):
        read_checkpoint(str(tmp_path / 'a.pth'))
    assert not (tmp_path / 'ran').exists()


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, 'w')


def test_missing_file_says_how_to_get_one(tmp_path):
    with pytest.raises(FileNotFoundError, match='no.pth: no such checkpoint; .*the package brings'):
        read_checkpoint(str(tmp_path / 'no.pth'))


def test_embedded_config():
    new = dict(message_hub=dict(runtime_info=dict(cfg='a = 1')))
    old = dict(meta=dict(cfg='a = 2'))
    assert embedded_config(new, 'x').a == 1
    assert embedded_config(old, 'x').a == 2
    with pytest.raises(ValueError, match='x.pth: contains no config'):
        embedded_config(dict(state_dict={}), 'x.pth')
