# Copyright (c) mmdefusion authors. All rights reserved.
"""Fusing of image pairs with a trained network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.infer import BaseInferencer
from rich.progress import track
from torch import nn

from mmdefusion.engine.optimizers.autocast_optim_wrapper import autocast_dtype
from mmdefusion.models import DeFusionPP
from mmdefusion.registry import INFERENCERS
from mmdefusion.structures import FusionDataSample
from mmdefusion.utils.image_io import ImageReadError, quantize
from mmdefusion.utils.setup_env import check_device
from mmdefusion.visualization import draw_panel, sample_tiles
from mmdefusion.weights import SHIPPED_WEIGHTS, shipped_weights

from .batches import load_batches
from .checkpoint import build_trained_model, read_config
from .network_io import COLOR_MODES, finish_map, image_to_tensor, pack_pair, predicted_maps
from .pairs import LoadedPair, Pair, load_pair, resolve_pairs
from .results import FailedPair, FusedPair, check_outputs, write_result
from .tile_planner import GIB, TilePlanner
from .tiled_fusion import fuse_tiles
from .tiling import Span

PRECISIONS = ('auto', 'bfloat16', 'float32')
#: Bytes per pixel of a pair that is decoded as a whole, of its fused image, and of the copies made on the way.
_DECODED_BYTES = 16


@INFERENCERS.register_module()
class FusionInferencer(BaseInferencer):
    """Fuses registered pairs of images of any size.

    Args:
        model: Path of a config, a config, or the name of a model in the metafile; default: the config that the
            checkpoint carries.
        weights: Path or address of the checkpoint, or the name of one that comes with the package: ``'fusion'`` (the
            default without a model), adapted to pairs of all tasks, or ``'pretext'``, pretrained on photos alone. A
            model named in the metafile brings its own, and classical fusion needs none. A path of a checkpoint given as
            ``model`` counts as ``weights``.
        device: Device, for example ``'cpu'`` or ``'cuda:0'``; default the best one at hand.
        color: ``'ycbcr'`` fuses the lumas and mixes the chromas by their distance from gray, which keeps the visible
            image's colours beside an infrared one; ``'rgb'`` gives the colours to the network; ``'gray'`` fuses the
            lumas into a single-channel image.
        precision: ``'float32'``, ``'bfloat16'`` (autocast), or ``'auto'``: bfloat16 on a CPU that has instructions for
            it and for pairs of 8 bits, float32 else.
        show_progress: Whether to show a progress bar.
        memory_budget: GiB that the network may use at a time. A batch that would need more is cut into smaller ones,
            an image that would need more is fused in overlapping tiles as large as fit. TIFF files that would not even
            fit as decoded images are read, fused and, with ``out_dir``, written region by region.
        tile_size: Side of a tile in pixels, rounded down to a multiple of the network's windows; larger images are
            always cut. Default: what ``memory_budget`` says.
        tile_overlap: Pixels that neighbouring tiles share, rounded up to a multiple of the network's windows; default
            four windows, or 128 pixels for a network without windows.

    Raises:
        ValueError: If an argument has an unknown value, there are no weights, or they do not fit the model.
        FileNotFoundError: If the checkpoint does not exist.

    Examples:
        >>> fuse = FusionInferencer()
        >>> fused = fuse(('vi/1.jpg', 'ir/1.jpg'))['predictions'][0]
        >>> fuse(('vi', 'ir'), out_dir='fused', parts=True)
    """

    def __init__(
        self,
        model: str | Config | ConfigDict | dict | None = None,
        weights: str | None = None,
        device: str | None = None,
        color: str = 'ycbcr',
        precision: str = 'auto',
        show_progress: bool = True,
        memory_budget: float = 1.0,
        tile_size: int | None = None,
        tile_overlap: int | None = None,
    ) -> None:
        for name, value, known in (('color', color, COLOR_MODES), ('precision', precision, PRECISIONS)):
            if value not in known:
                raise ValueError(f'{name} must be one of {known}, found {value!r}')
        if isinstance(model, str | os.PathLike):
            model = os.fspath(model)
            if model.endswith('.pth') and weights is None:
                model, weights = None, model
            elif os.path.isfile(model):
                model = read_config(model)
        check_device(device)
        if model is None and weights is None:
            weights = 'fusion'
        if weights in SHIPPED_WEIGHTS:
            weights = shipped_weights(weights)
        self.color = color
        self.precision = precision
        self.memory_budget = memory_budget
        super().__init__(model, weights, device, scope='mmdefusion', show_progress=show_progress)
        self.planners = {
            depth: TilePlanner.of_model(
                self.model,
                'float32' if self._dtype(depth) is None else 'bfloat16',
                memory_budget,
                tile_size,
                tile_overlap,
            )
            for depth in (8, 16)
        }

    def __call__(
        self,
        inputs: tuple | Sequence[tuple],
        return_datasamples: bool = False,
        batch_size: int = 1,
        out_dir: str | os.PathLike | None = None,
        parts: bool = False,
    ) -> dict:
        """Fuse pairs.

        Args:
            inputs: A tuple of two paths, of two arrays or of two folders (matched by stem), or a list of tuples of
                paths or arrays. Arrays are (H, W), (H, W, 3) BGR or (H, W, 4) BGRA; uint8, uint16, or float in [0, 1].
            return_datasamples: Whether ``predictions`` are data samples instead of arrays.
            batch_size: Pairs that the network sees at once, or fewer where ``memory_budget`` does not allow as many;
                only neighbours of the same size share a batch.
            out_dir: Where to write ``NAME.png``, and with ``parts`` also ``common/NAME.png``, ``unique1/NAME.png``,
                ``unique2/NAME.png`` and ``panel/NAME.png``. NAME is the stem of the first source, or a number for
                arrays. What is fused from disk to disk becomes ``NAME.tif``, without a panel.
            parts: Whether to make the parts, if the model has any, and a panel of everything.

        Returns:
            ``predictions``: fused images, (H, W, 3) BGR or, with ``color='gray'``, (H, W), uint8 or uint16 as the
            sources, or data samples; ``visualization``: with ``parts`` the panels, BGR, else empty. What was fused from
            disk to disk is a memory-mapped array.

        Raises:
            ImageReadError: If a pair cannot be used.
            OutputError: If a result cannot be written.
            ValueError: If ``out_dir`` would overwrite a source, or two pairs have one name.
            TypeError: If ``inputs`` have another form.
        """
        pairs, problems = resolve_pairs(inputs)
        if problems:
            raise ImageReadError('\n'.join(problems.values()))
        if out_dir is not None:
            check_outputs(pairs, out_dir, parts)
        results = self.stream(pairs, batch_size, parts, out_dir, return_datasamples)
        preds, panels = [], []
        for result in track(results, 'Fusing', total=len(pairs)) if self.show_progress else results:
            if isinstance(result, FailedPair):
                raise ImageReadError(result.reason)
            preds.append(result.data_sample if return_datasamples else result.images['fused'])
            panels.extend([result.images['panel']] if 'panel' in result.images else [])
        return self.postprocess(preds, panels)

    def stream(
        self,
        pairs: Iterable[Pair],
        batch_size: int = 1,
        parts: bool = False,
        out_dir: str | os.PathLike | None = None,
        return_datasamples: bool = False,
    ) -> Iterator:
        """Fuse pairs one after the other and keep none, as long runs want it.

        Args:
            pairs: The pairs.
            batch_size: See :meth:`__call__`.
            parts: See :meth:`__call__`.
            out_dir: See :meth:`__call__`.
            return_datasamples: Whether the results bring data samples, with all that the model predicts.

        Yields:
            A :class:`FusedPair` or a :class:`FailedPair` for each pair.
        """
        for batch in self.preprocess(pairs, batch_size):
            if isinstance(batch, FailedPair):
                yield batch
                continue
            plan = self.planners[batch[0].depth].plan(*batch[0].size, batch[0].on_disk)
            if plan is None:
                results = self._fuse_batch(batch, parts, return_datasamples)
            else:
                results = (self._fuse_large(pair, plan, parts, out_dir, return_datasamples) for pair in batch)
            for result, pair in zip(results, batch, strict=True):
                if out_dir is not None and isinstance(result, FusedPair) and not pair.on_disk:
                    write_result(result, out_dir)
                pair.close()
                yield result

    def _fuse_batch(self, batch: list[LoadedPair], parts: bool, return_datasamples: bool) -> list[FusedPair]:
        """Fuse pairs of one size, each as a whole."""
        samples = self.forward(batch, parts or return_datasamples)
        results = []
        for pair, sample in zip(batch, samples, strict=True):
            images = {}
            for name, values in predicted_maps(sample, self.color).items():
                if name == 'fused' or parts:
                    image = finish_map(name, values, pair, self.color)
                    images[name] = quantize(image, pair.depth)
                if name == 'fused' and self.color != 'rgb' and (parts or return_datasamples):
                    sample.pred_fused = image_to_tensor(image, 255)
            results.append(FusedPair(pair.pair.name, images, sample))
        if parts:
            for result, panel in zip(results, self.visualize(batch, samples), strict=True):
                result.images['panel'] = panel
        return results

    def _fuse_large(
        self,
        pair: LoadedPair,
        plan: tuple[list[Span], list[Span]],
        parts: bool,
        out_dir: str | os.PathLike | None,
        return_datasamples: bool,
    ) -> FusedPair | FailedPair:
        """Fuse one pair tile by tile."""
        everything = parts or return_datasamples
        try:
            images = fuse_tiles(
                pair,
                plan,
                lambda tile: self.forward([tile], everything)[0],
                self.color,
                everything,
                out_dir if pair.on_disk else None,
            )
        except ImageReadError as error:
            return FailedPair(pair.pair.name, str(error))
        sample = None
        if return_datasamples or (parts and not pair.on_disk):
            sample = FusionDataSample(metainfo=dict(ori_shape=pair.size, img_shape=pair.size))
            scale = 65535 if pair.depth == 16 else 255
            sample.set_data({f'pred_{name}': image_to_tensor(image, scale) for name, image in images.items()})
        if not parts:
            images = dict(fused=images['fused'])
        elif not pair.on_disk:
            images['panel'] = self.visualize([pair], [sample])[0]
        return FusedPair(pair.pair.name, images, sample)

    def preprocess(self, inputs: Iterable[Pair], batch_size: int = 1) -> Iterator[list[LoadedPair] | FailedPair]:
        """Read pairs and collect neighbours of one size and depth.

        Args:
            inputs: The pairs.
            batch_size: The largest batch, or less where ``memory_budget`` does not allow it.

        Returns:
            Batches, and pairs that cannot be used.
        """
        return load_batches(
            inputs, lambda pair: self.planners[pair.depth].batch_size(*pair.size, batch_size), self.pipeline
        )

    @torch.no_grad()
    def forward(self, inputs: list[LoadedPair], parts: bool = True) -> list[FusionDataSample]:
        """Run the network on pairs of one size.

        Args:
            inputs: Pairs of one size and depth.
            parts: Whether to make the parts too, if the model has any; without them some of its heads need not run.

        Returns:
            The network's predictions, on the CPU.
        """
        dtype = self._dtype(inputs[0].depth)
        data = self.collate_fn([pack_pair(pair, self.color) for pair in inputs])
        with torch.autocast(self.device_type, dtype or torch.bfloat16, enabled=dtype is not None):
            if isinstance(self.model, DeFusionPP):
                samples = self.model.predict(**self.model.data_preprocessor(data), parts=parts)
            else:
                samples = self.model.test_step(data)
        for pair, sample in zip(inputs, samples, strict=True):
            if not torch.isfinite(sample.pred_fused).all():
                raise RuntimeError(f'{pair.pair.name}: the network gave NaN or infinite values; are its weights sound?')
        return [sample.to('cpu') for sample in samples]

    def visualize(self, inputs: list[LoadedPair], preds: list[FusionDataSample]) -> list[np.ndarray]:
        """Draw panels of sources, parts and fused images.

        Args:
            inputs: The pairs.
            preds: Their predictions.

        Returns:
            Panels, BGR uint8.
        """
        images = [np.concatenate([pair.bgr1[..., ::-1], pair.bgr2[..., ::-1]], axis=2) for pair in inputs]
        return [
            np.ascontiguousarray(draw_panel(sample_tiles(image, sample))[..., ::-1])
            for image, sample in zip(images, preds, strict=True)
        ]

    def postprocess(self, preds: list, visualization: list[np.ndarray]) -> dict:
        """Pack the results as all OpenMMLab inferencers do.

        Args:
            preds: Fused images or data samples.
            visualization: Panels.

        Returns:
            Both in a dict.
        """
        return dict(predictions=preds, visualization=visualization)

    def _dtype(self, depth: int) -> torch.dtype | None:
        """The type to autocast to for pairs of a bit depth, None for full precision."""
        # bfloat16 has 8 significant bits: enough for 8-bit images only.
        precision = 'float32' if self.precision == 'auto' and depth == 16 else self.precision
        return autocast_dtype(precision, self.device_type)

    @property
    def device_type(self) -> str:
        """Where the model runs, ``'cpu'`` or ``'cuda'``; ``'cpu'`` for one without parameters."""
        return next((tensor.device for tensor in self.model.parameters()), torch.device('cpu')).type

    def _init_pipeline(self, cfg: ConfigDict) -> Callable[[Pair], LoadedPair]:
        return partial(load_pair, max_pixels=self.memory_budget * GIB / _DECODED_BYTES)

    def _init_collate(self, cfg: ConfigDict) -> Callable[[list[dict]], dict]:
        """Leave out the config's collate function: pairs are packed here, whatever the config's dataset is."""
        return pseudo_collate

    def _init_visualizer(self, cfg: ConfigDict) -> None:
        """Leave out the config's visualizer: its backends are for training, panels are drawn by a function."""
        return None

    def _init_model(self, cfg: ConfigDict, weights: str | None, device: str = 'cpu') -> nn.Module:
        model = build_trained_model(cfg, weights, self.scope)
        model.cfg = cfg
        return model.to(device).eval()

    def _load_model_from_metafile(self, model: str) -> tuple[Config, str | None]:
        try:
            return super()._load_model_from_metafile(model)
        except (ValueError, KeyError, FileNotFoundError) as error:
            raise ValueError(
                f'{model}: no such config file, and no model of that name has weights in the metafile; expected the '
                f'path of a config, or of a checkpoint ending in .pth'
            ) from error
