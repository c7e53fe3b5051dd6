# LLVIP: streets in low light, 1280x1024. Tested on: the released test split, 3,463 pairs.
#
# data/LLVIP
# ├── visible/test/190001.jpg ...
# └── infrared/test/190001.jpg ...
#
# Not run on the real files, only on a made-up copy of this layout.
_base_ = 'infrared_visible_test.py'

data_root = 'data/LLVIP/'

test_dataloader = dict(
    dataset=dict(data_root=data_root, data_prefix=dict(img_path='visible/test', partner_path='infrared/test'))
)
