# The published recipe of pretraining on any photos, from tar shards instead of a folder.
_base_ = [
    '../_base_/models/defusion-pp_tiny.py',
    '../_base_/datasets/photos_cud_shards.py',
    '../_base_/schedules/defusion_50e.py',
    '../_base_/default_runtime.py',
]
