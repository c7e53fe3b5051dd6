# Copyright (c) mmdefusion authors. All rights reserved.
"""Visualizers of MMDetection and MMSegmentation that know pairs.

The hosts need not be installed to import this module, so the classes are made when the first one is built.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from mmengine.dist import master_only
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from mmdefusion.registry import VISUALIZERS
from mmdefusion.utils.hosts import import_host

BACKGROUNDS = ('visible', 'partner', 'fused')


class PairedVisualizerMixin:
    """What boxes and label maps are drawn on, in front of a host's visualizer in the order of base classes.

    Visualisation hooks and inferencers load the image that ``img_path`` names, the first source. This chooses another
    picture of the same scene. An array of both sources, as an inferencer takes it, is accepted as well.

    Args:
        name: Name of the instance.
        background: ``'visible'``, the first source as the host gives it; ``'partner'``, the second source; or
            ``'fused'``.
        path_map: Tells the partner's path, see :class:`mmdefusion.datasets.transforms.LoadPairedImage`.
        fuser: Arguments of :class:`mmdefusion.apis.FusionInferencer` for ``background='fused'``: ``model`` and, unless
            the model is a classical method, ``weights``. A detector has no decoder and cannot make this image itself.
        *args: Arguments of the stock class.
        **kwargs: The same.

    Raises:
        ValueError: If ``background`` is unknown, or ``fuser`` is missing or would not be used.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        *args,
        background: str = 'visible',
        path_map: tuple[str, str] = ('/vi/', '/ir/'),
        fuser: dict | None = None,
        **kwargs,
    ) -> None:
        super().__init__(name, *args, **kwargs)
        if background not in BACKGROUNDS:
            raise ValueError(f'background must be one of {BACKGROUNDS}, got {background!r}')
        if (background == 'fused') != (fuser is not None):
            raise ValueError(
                f'background={background!r} with fuser={fuser!r}: expected fuser=dict(model=..., weights=...) with '
                "background='fused', and only there"
            )
        self.background = background
        # Here and not above: both modules import this package.
        from mmdefusion.datasets.transforms import LoadPairedImage

        self.load_pair = LoadPairedImage(path_map)
        if fuser is not None:
            from mmdefusion.apis import FusionInferencer

            # The inferencer makes its own scope the default one, which the host's config must not notice.
            with DefaultScope.overwrite_default_scope('mmdefusion'):
                self.fuse = FusionInferencer(**{'show_progress': False, **fuser})

    @master_only
    def add_datasample(self, name: str, image: np.ndarray, data_sample: object = None, *args, **kwargs) -> None:
        """Draws as the stock class does, on the chosen background.

        Args:
            name: Name of the picture.
            image: First source, (H, W, 3) RGB as hooks and inferencers load it, or both sources, (H, W, 6) BGR as
                they are given to an inferencer; values 0..255.
            data_sample: What to draw, with ``img_path`` where ``image`` is one source.
            *args: Further arguments of the stock method.
            **kwargs: The same.

        Raises:
            ValueError: If the partner's path cannot be told, or it differs in size from ``image``, as after a resize
                in the pipeline.
        """
        super().add_datasample(name, self._choose(image, data_sample), data_sample, *args, **kwargs)

    def _choose(self, image: np.ndarray, data_sample: object) -> np.ndarray:
        if image.shape[2] == 3:
            if self.background == 'visible':
                return image
            keys = ('img_path', 'partner_path')
            paths = {key: data_sample.get(key) for key in keys if data_sample is not None and data_sample.get(key)}
            image = self.load_pair(dict(img=image[..., ::-1], **paths))['img']
        sources = np.split(np.ascontiguousarray(image), 2, axis=2)
        if self.background == 'fused':
            with DefaultScope.overwrite_default_scope('mmdefusion'):
                chosen = self.fuse(tuple(np.rint(source).astype(np.uint8) for source in sources))['predictions'][0]
        else:
            chosen = sources[self.background == 'partner']
        # Gray fused images have no channels.
        chosen = np.broadcast_to(chosen.reshape(*chosen.shape[:2], -1), (*chosen.shape[:2], 3))
        return np.ascontiguousarray(np.rint(chosen).astype(np.uint8)[..., ::-1])


@cache
def _paired_class(name: str, module: str, stock: str) -> type[Visualizer]:
    base = getattr(import_host(module, name), stock)
    return type(name, (PairedVisualizerMixin, base), dict(__module__=__name__, __doc__=base.__doc__))


@VISUALIZERS.register_module()
def PairedDetLocalVisualizer(**kwargs) -> Visualizer:
    """``DetLocalVisualizer`` of MMDetection for pairs.

    Args:
        **kwargs: Arguments of :class:`PairedVisualizerMixin` and of the stock class.

    Raises:
        ImportError: MMDetection is not installed.
    """
    return _paired_class('PairedDetLocalVisualizer', 'mmdet.visualization', 'DetLocalVisualizer').get_instance(**kwargs)


@VISUALIZERS.register_module()
def PairedSegLocalVisualizer(**kwargs) -> Visualizer:
    """``SegLocalVisualizer`` of MMSegmentation for pairs.

    Args:
        **kwargs: Arguments of :class:`PairedVisualizerMixin` and of the stock class.

    Raises:
        ImportError: MMSegmentation is not installed.
    """
    return _paired_class('PairedSegLocalVisualizer', 'mmseg.visualization', 'SegLocalVisualizer').get_instance(**kwargs)
