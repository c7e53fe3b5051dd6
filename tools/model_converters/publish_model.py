# Copyright (c) mmdefusion authors. All rights reserved.
"""Makes a small file for users from a checkpoint of training: the network's weights and its config, nothing else."""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

import mmdefusion
from mmdefusion.apis.checkpoint import embedded_config, load_all_weights, read_checkpoint
from mmdefusion.utils.output_files import write_bytes

#: Parts of the model that fusing needs; teachers and losses stay behind.
KEPT = ('type', 'backbone', 'neck', 'data_preprocessor')
DTYPES = dict(float32=torch.float32, float16=torch.float16)


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description='Process a checkpoint to be published')
    parser.add_argument('in_file', help='checkpoint of training; averaged weights where it has them')
    parser.add_argument('out_file', help='file to write, loads with weights_only=True')
    parser.add_argument(
        '--average-with', nargs='+', default=[], metavar='FILE', help='checkpoints to average the weights with'
    )
    parser.add_argument('--dtype', choices=DTYPES, default='float16', help='type of the stored weights')
    parser.add_argument(
        '--backbone-only', action='store_true', help='only the backbone, for detectors, segmentors and further training'
    )
    return parser.parse_args()


def publish(
    in_file: str, out_file: str, dtype: torch.dtype, average_with: Sequence[str] = (), backbone_only: bool = False
) -> int:
    """Writes the file, atomically.

    Args:
        in_file: Checkpoint of training, with its config.
        out_file: File to write.
        dtype: Type of the stored weights; loading converts them to float32.
        average_with: Other checkpoints of the same network: the mean of all is written.
        backbone_only: Write nothing but the backbone, under its names in the whole model.

    Returns:
        Size of the file in bytes.

    Raises:
        ValueError: The checkpoint has no config, or one of them not all weights of its model.
    """
    checkpoint = read_checkpoint(in_file)
    config = embedded_config(checkpoint, in_file)
    model_config = {key: value for key, value in config.model.items() if key in KEPT}
    model_config['backbone'] = {key: value for key, value in config.model.backbone.items() if key != 'init_cfg'}
    init_default_scope(config.default_scope)
    if backbone_only:
        model_config = dict(backbone=model_config['backbone'])
        model = nn.ModuleDict(dict(backbone=MODELS.build(model_config['backbone'])))
    else:
        model = MODELS.build(model_config)
    text = Config(dict(default_scope=config.default_scope, model=model_config)).pretty_text
    load_all_weights(model, checkpoint, in_file)
    weights = {name: value.double() for name, value in model.state_dict().items()}
    for count, path in enumerate(average_with, start=2):
        load_all_weights(model, read_checkpoint(path), path)
        weights = {name: mean + (model.state_dict()[name] - mean) / count for name, mean in weights.items()}
    weights = {name: value.to(dtype) for name, value in weights.items()}
    buffer = io.BytesIO()
    torch.save(dict(state_dict=weights, meta=dict(cfg=text, mmdefusion_version=mmdefusion.__version__)), buffer)
    write_bytes(out_file, buffer.getvalue())
    return buffer.tell()


def main() -> None:
    """Entry point."""
    args = parse_args()
    size = publish(args.in_file, args.out_file, DTYPES[args.dtype], args.average_with, args.backbone_only)
    print(f'{args.out_file}: {size / 2**20:.2f} MiB')


if __name__ == '__main__':
    main()
