# Copyright (c) mmdefusion authors. All rights reserved.
import torch

from mmdefusion.models import FusionTTAModel
from mmdefusion.registry import MODELS
from mmdefusion.structures import FusionDataSample
from mmdefusion.testing import tiny_model_cfg


def make_data():
    pairs = torch.randint(0, 256, (2, 6, 18, 21), generator=torch.Generator().manual_seed(0)).byte()
    return dict(inputs=list(pairs), data_samples=[FusionDataSample(metainfo=dict(img_path=name)) for name in 'ab'])


def test_average_of_the_pair_and_its_mirror_image():
    torch.manual_seed(0)
    model = MODELS.build(tiny_model_cfg()).eval()
    result = FusionTTAModel(model).test_step(make_data())
    plain = model.test_step(make_data())
    mirrored = model.test_step(dict(inputs=[pair.flip(-1) for pair in make_data()['inputs']]))
    for index in range(2):
        for key in ('pred_fused', 'pred_unique2'):
            expected = (plain[index].get(key) + mirrored[index].get(key).flip(-1)) / 2
            torch.testing.assert_close(result[index].get(key), expected)
        assert result[index].img_path == 'ab'[index]
    assert not torch.allclose(result[0].pred_fused, plain[0].pred_fused)


def test_mirroring_a_pixelwise_method_changes_nothing():
    model = MODELS.build(dict(type='ClassicalFusion', method='maximum'))
    alone = model.test_step(make_data())
    result = FusionTTAModel(model).test_step(make_data())
    torch.testing.assert_close(result[0].pred_fused, alone[0].pred_fused)


def test_it_mirrors_back_every_prediction():
    model = MODELS.build(tiny_model_cfg()).eval()
    data = make_data()
    mirrored = {**data, 'inputs': [pair.flip(-1) for pair in data['inputs']]}
    there, back = FusionTTAModel(model).test_step(data), FusionTTAModel(model).test_step(mirrored)
    torch.testing.assert_close(there[0].pred_fused, back[0].pred_fused.flip(-1))
