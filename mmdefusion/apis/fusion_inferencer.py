# Copyright (c) mmdefusion authors. All rights reserved.
"""Fusing of image pairs with a trained network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.infer import BaseInferencer
from mmengine.registry import MODELS
from rich.progress import track
from torch import nn

from mmdefusion.engine.optimizers.autocast_optim_wrapper import autocast_dtype
from mmdefusion.registry import INFERENCERS
from mmdefusion.structures import FusionDataSample
from mmdefusion.utils.image_io import ImageReadError, quantize
from mmdefusion.visualization import draw_panel, sample_tiles

from .checkpoint import HOW_TO_GET_WEIGHTS, embedded_config, load_all_weights, read_checkpoint
from .color import bgr_to_chroma, bgr_to_luma, compose_bgr, mix_chroma
from .pairs import LoadedPair, Pair, load_pair, resolve_pairs
from .results import PARTS, FailedPair, FusedPair, check_outputs, write_result

COLOR_MODES = ('ycbcr', 'rgb', 'gray')
PRECISIONS = ('auto', 'bfloat16', 'float32')


@INFERENCERS.register_module()
class FusionInferencer(BaseInferencer):
    """Fuses registered pairs of images of any size.

    Args:
        model: Path of a config, a config, or the name of a model in the metafile; default: the config that the
            checkpoint carries.
        weights: Path or address of the checkpoint; a model named in the metafile brings its own, and classical fusion
            needs none. A path of a checkpoint given as ``model`` counts as ``weights``.
        device: Device, for example ``'cpu'`` or ``'cuda:0'``; default the best one at hand.
        color: ``'ycbcr'`` fuses the lumas and mixes the chromas by their distance from gray, which keeps the visible
            image's colours beside an infrared one; ``'rgb'`` gives the colours to the network; ``'gray'`` fuses the
            lumas into a single-channel image.
        precision: ``'float32'``, ``'bfloat16'`` (autocast), or ``'auto'``: bfloat16 on a CPU that has instructions for
            it and for pairs of 8 bits, float32 else.
        show_progress: Whether to show a progress bar.

    Raises:
        ValueError: If an argument has an unknown value, there are no weights, or they do not fit the model.
        FileNotFoundError: If the checkpoint does not exist.

    Examples:
        >>> fuse = FusionInferencer('configs/defusion/defusion-pp_nano_demo.py', 'work_dirs/demo/weights.pth')
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
    ) -> None:
        for name, value, known in (('color', color, COLOR_MODES), ('precision', precision, PRECISIONS)):
            if value not in known:
                raise ValueError(f'{name} must be one of {known}, found {value!r}')
        if isinstance(model, str | os.PathLike):
            model = os.fspath(model)
            if model.endswith('.pth') and weights is None:
                model, weights = None, model
        if model is None and weights is None:
            raise ValueError(f'no weights were given: {HOW_TO_GET_WEIGHTS}')
        self.color = color
        self.precision = precision
        super().__init__(model, weights, device, scope='mmdefusion', show_progress=show_progress)

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
            batch_size: Pairs that the network sees at once; only neighbours of the same size share a batch.
            out_dir: Where to write ``NAME.png``, and with ``parts`` also ``common/NAME.png``, ``unique1/NAME.png``,
                ``unique2/NAME.png`` and ``panel/NAME.png``. NAME is the stem of the first source, or a number for
                arrays.
            parts: Whether to make the parts, if the model has any, and a panel of everything.

        Returns:
            ``predictions``: fused images, (H, W, 3) BGR or, with ``color='gray'``, (H, W), uint8 or uint16 as the
            sources, or data samples; ``visualization``: with ``parts`` the panels, BGR, else empty.

        Raises:
            ImageReadError: If a pair cannot be used.
            ValueError: If ``out_dir`` would overwrite a source, or two pairs have one name.
            TypeError: If ``inputs`` have another form.
        """
        pairs, problems = resolve_pairs(inputs)
        if problems:
            raise ImageReadError('\n'.join(problems.values()))
        if out_dir is not None:
            check_outputs(pairs, out_dir, parts)
        results = self.stream(pairs, batch_size, parts)
        preds, panels = [], []
        for result in track(results, 'Fusing', total=len(pairs)) if self.show_progress else results:
            if isinstance(result, FailedPair):
                raise ImageReadError(result.reason)
            if out_dir is not None:
                write_result(result, out_dir)
            preds.append(result.data_sample if return_datasamples else result.images['fused'])
            panels.extend([result.images['panel']] if parts else [])
        return self.postprocess(preds, panels)

    def stream(self, pairs: Iterable[Pair], batch_size: int = 1, parts: bool = False) -> Iterator:
        """Fuse pairs one after the other and keep none, as long runs want it.

        Args:
            pairs: The pairs.
            batch_size: See :meth:`__call__`.
            parts: See :meth:`__call__`.

        Yields:
            A :class:`FusedPair` or a :class:`FailedPair` for each pair.
        """
        for batch in self.preprocess(pairs, batch_size):
            if isinstance(batch, FailedPair):
                yield batch
                continue
            samples = self.forward(batch)
            fused = [self._restore_color(pair, sample) for pair, sample in zip(batch, samples, strict=True)]
            panels = self.visualize(batch, samples) if parts else [None] * len(batch)
            for pair, sample, image, panel in zip(batch, samples, fused, panels, strict=True):
                images = dict(fused=quantize(image, pair.depth))
                if parts:
                    parts_made = [name for name in PARTS if f'pred_{name}' in sample]
                    images |= {name: self._part_image(sample, name, pair.depth) for name in parts_made}
                    images['panel'] = panel
                yield FusedPair(pair.pair.name, images, sample)

    def preprocess(self, inputs: Iterable[Pair], batch_size: int = 1) -> Iterator[list[LoadedPair] | FailedPair]:
        """Read pairs and collect neighbours of one size and depth.

        Args:
            inputs: The pairs.
            batch_size: The largest batch.

        Yields:
            Batches, and pairs that cannot be used.
        """
        batch: list[LoadedPair] = []
        for pair in inputs:
            try:
                loaded = self.pipeline(pair)
            except ImageReadError as error:
                yield FailedPair(pair.name, str(error))
                continue
            if batch and (batch[0].bgr1.shape, batch[0].depth) != (loaded.bgr1.shape, loaded.depth):
                yield batch
                batch = []
            batch.append(loaded)
            if len(batch) >= batch_size:
                yield batch
                batch = []
        if batch:
            yield batch

    @torch.no_grad()
    def forward(self, inputs: list[LoadedPair]) -> list[FusionDataSample]:
        """Run the network on pairs of one size.

        Args:
            inputs: Pairs of one size and depth.

        Returns:
            The network's predictions, on the CPU.
        """
        device = next((tensor.device for tensor in self.model.parameters()), torch.device('cpu')).type
        # bfloat16 has 8 significant bits: enough for 8-bit images only.
        precision = 'float32' if self.precision == 'auto' and inputs[0].depth == 16 else self.precision
        dtype = autocast_dtype(precision, device)
        with torch.autocast(device, dtype or torch.bfloat16, enabled=dtype is not None):
            samples = self.model.test_step(self.collate_fn([self._pack(pair) for pair in inputs]))
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

    def _pack(self, pair: LoadedPair) -> dict:
        """Make the network's input of a pair, in the form of ``PackFusionInputs``."""
        sources = (pair.bgr1, pair.bgr2)
        if self.color != 'rgb':
            sources = [np.repeat(bgr_to_luma(bgr)[..., None], 3, axis=2) for bgr in sources]
        image = np.concatenate([bgr.astype(np.float32) for bgr in sources], axis=2)
        shape = image.shape[:2]
        sample = FusionDataSample(metainfo=dict(ori_shape=shape, img_shape=shape))
        for key, source in (('img_path', pair.pair.source1), ('partner_path', pair.pair.source2)):
            if not isinstance(source, np.ndarray):
                sample.set_metainfo({key: os.fspath(source)})
        return dict(inputs=torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), data_samples=sample)

    def _restore_color(self, pair: LoadedPair, sample: FusionDataSample) -> np.ndarray:
        """Give the fused image its final colours, in the data sample too.

        Returns:
            (H, W, 3) BGR or (H, W), values 0..255, not rounded.
        """
        fused = _to_bgr(sample.pred_fused)
        if self.color == 'rgb':
            return fused
        fused = bgr_to_luma(fused)
        if self.color == 'ycbcr':
            chroma = mix_chroma(bgr_to_chroma(pair.bgr1), bgr_to_chroma(pair.bgr2))
            fused = np.clip(compose_bgr(fused, chroma), 0, 255)
        rgb = fused[None] if fused.ndim == 2 else fused[..., ::-1].transpose(2, 0, 1)
        sample.pred_fused = torch.from_numpy(np.ascontiguousarray(rgb)) / 255
        return fused

    def _part_image(self, sample: FusionDataSample, name: str, depth: int) -> np.ndarray:
        bgr = _to_bgr(sample.get(f'pred_{name}'))
        return quantize(bgr if self.color == 'rgb' else bgr_to_luma(bgr), depth)

    def _init_pipeline(self, cfg: ConfigDict) -> Callable[[Pair], LoadedPair]:
        return load_pair

    def _init_collate(self, cfg: ConfigDict) -> Callable[[list[dict]], dict]:
        """Leave out the config's collate function: pairs are packed here, whatever the config's dataset is."""
        return pseudo_collate

    def _init_visualizer(self, cfg: ConfigDict) -> None:
        """Leave out the config's visualizer: its backends are for training, panels are drawn by a function."""
        return None

    def _init_model(self, cfg: ConfigDict, weights: str | None, device: str = 'cpu') -> nn.Module:
        checkpoint = None if weights is None else read_checkpoint(weights)
        if not cfg:
            cfg.update(embedded_config(checkpoint, weights)._cfg_dict)
        if 'model' not in cfg:
            raise ValueError(f'the config has no entry "model"; found {sorted(cfg)}')
        with MODELS.switch_scope_and_registry(cfg.get('default_scope', self.scope)) as registry:
            model = registry.build(cfg.model)
        if checkpoint is not None:
            load_all_weights(model, checkpoint, weights)
        elif any(True for _ in model.parameters()):
            raise ValueError(f'no weights were given for the model: {HOW_TO_GET_WEIGHTS}')
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


def _to_bgr(image: torch.Tensor) -> np.ndarray:
    """(3, H, W) RGB in [0, 1] to (H, W, 3) BGR in 0..255, float32."""
    return image.float().mul(255).numpy().transpose(1, 2, 0)[..., ::-1]
