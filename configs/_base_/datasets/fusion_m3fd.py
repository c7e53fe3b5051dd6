# M3FD: streets, campus and woods in all weathers, mostly 1024x768. Tested on: the 300 pairs of M3FD_Fusion; the 4,200
# pairs of M3FD_Detection have the same layout.
#
# data/M3FD_Fusion
# ├── Vis/00000.png ...
# └── Ir/00000.png ...
#
# Not run on the real files, only on a made-up copy of this layout.
_base_ = 'infrared_visible_test.py'

data_root = 'data/M3FD_Fusion/'

test_dataloader = dict(dataset=dict(data_root=data_root, data_prefix=dict(img_path='Vis', partner_path='Ir')))
