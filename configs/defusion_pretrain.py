# Pretraining of DeFusion++ as published: common and unique decomposition with masked feature modeling on COCO.
_base_ = [
    '_base_/models/defusion-pp_tiny.py',
    '_base_/datasets/coco_cud.py',
    '_base_/schedules/defusion_50e.py',
    '_base_/default_runtime.py',
]
