# Copyright (c) mmdefusion authors. All rights reserved.
"""Saves the gradients of one batch that two processes share; test_distributed.py starts it twice."""

import os
import sys

import torch
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


def main(rendezvous, path, world=2):
    rank = int(os.environ['RANK'])
    torch.distributed.init_process_group('gloo', f'file://{rendezvous}', rank=rank, world_size=world)
    model = MMDistributedDataParallel(make_model(), device_ids=None)
    photos, samples = make_batch()
    losses = model(photos[rank::world], samples[rank::world], mode='loss')
    sum(losses.values()).backward()
    if rank == 0:
        torch.save({name: value.grad for name, value in model.module.named_parameters()}, path)
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main(*sys.argv[1:])
