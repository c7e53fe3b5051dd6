# FMB: streets with labels of 15 classes, 800x600. Tested on: the released test split, 280 pairs.
#
# data/FMB/test
# ├── Visible/00001.png ...
# └── Infrared/00001.png ...
#
# Not run on the real files, only on a made-up copy of this layout.
_base_ = 'infrared_visible_test.py'

data_root = 'data/FMB/test/'

test_dataloader = dict(dataset=dict(data_root=data_root, data_prefix=dict(img_path='Visible', partner_path='Infrared')))
