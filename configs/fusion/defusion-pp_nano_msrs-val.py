# 31 pairs of the MSRS test split that models may be selected on.
_base_ = 'defusion-pp_nano_msrs.py'

test_dataloader = dict(dataset=dict(ann_file='{{ fileDirname }}/../_base_/datasets/splits/msrs_val.txt'))
