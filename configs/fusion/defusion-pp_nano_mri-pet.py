_base_ = [
    '../_base_/models/defusion-pp_nano.py',
    '../_base_/datasets/fusion_mri-pet.py',
    '../_base_/default_runtime.py',
]
