# Copyright (c) mmdefusion authors. All rights reserved.
import os

import torch
import torch.multiprocessing as mp
from mmengine.model import MMDistributedDataParallel

from mmdefusion.registry import MODELS
from mmdefusion.structures import FusionDataSample
from mmdefusion.testing import tiny_model_cfg


def make_batch():
    generator = torch.Generator().manual_seed(0)
    photos = torch.rand(4, 3, 16, 16, generator=generator)
    # Both views see everything, so that there is no noise.
    return photos, [FusionDataSample(cud_masks=torch.ones(2, 16, 16)) for _ in photos]


def make_model():
    torch.manual_seed(0)
    config = tiny_model_cfg()
    config['neck']['mask_ratio'] = 0.01  # drops less than one of 16 tokens: nothing is drawn
    # Without dropout or random order.
    return MODELS.build(config).eval()


def gradients(rank, world, folder):
    os.environ.update(MASTER_ADDR='127.0.0.1', RANK=str(rank), WORLD_SIZE=str(world))
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=world)
    model = MMDistributedDataParallel(make_model(), device_ids=None)
    photos, samples = make_batch()
    losses = model(photos[rank::world], samples[rank::world], mode='loss')
    sum(losses.values()).backward()
    if rank == 0:
        torch.save({name: value.grad for name, value in model.module.named_parameters()}, f'{folder}/gradients.pth')
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_gradients_of_one(tmp_path):
    mp.spawn(gradients, args=(2, str(tmp_path)), nprocs=2)
    together = torch.load(tmp_path / 'gradients.pth', weights_only=True)
    model = make_model()
    sum(model(*make_batch(), mode='loss').values()).backward()
    for name, value in model.named_parameters():
        torch.testing.assert_close(together[name], value.grad, rtol=1e-3, atol=1e-5, msg=name)
