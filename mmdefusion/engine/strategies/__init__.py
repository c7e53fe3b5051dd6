# Copyright (c) mmdefusion authors. All rights reserved.
"""Strategies of MMEngine's ``FlexibleRunner``: how a model is spread over processes."""

from .fully_shard_strategy import FullyShardStrategy, shard_model

__all__ = ['FullyShardStrategy', 'shard_model']
