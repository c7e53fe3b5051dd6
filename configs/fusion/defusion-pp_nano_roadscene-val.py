# The 22 pairs of RoadScene that models may be selected on.
_base_ = 'defusion-pp_nano_roadscene.py'

test_dataloader = dict(dataset=dict(ann_file='{{ fileDirname }}/../_base_/datasets/splits/roadscene_val.txt'))
