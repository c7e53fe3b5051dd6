# MSRS: streets by day and night, 640x480. Tested on: everything in the folder, 361 pairs in the released test split.
#
# data/MSRS/test
# ├── vi/00004N.png ...
# └── ir/00004N.png ...
#
# splits/msrs_{train,val}.txt hold 89 and 31 names of the test split, for tuning. Run on these 120 real pairs only.
_base_ = 'infrared_visible_test.py'

data_root = 'data/MSRS/test/'

test_dataloader = dict(dataset=dict(data_root=data_root, data_prefix=dict(img_path='vi', partner_path='ir')))
