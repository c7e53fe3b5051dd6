# MFNet: streets by day and night, 640x480, 784 pairs for training, 392 for validation, 393 for testing.
#
# python tools/dataset_converters/segmentation_pairs.py mfnet PUBLISHED -o data/mfnet
#
# data/mfnet
# └── {train,val,test}/{vi,ir,labels}/NAME.png
_base_ = './msrs_pairs.py'

pair_set = dict(data_root='data/mfnet/')
train_set = pair_set
val_set = dict(**pair_set, data_prefix=dict(img_path='val/vi', seg_map_path='val/labels'))
test_set = pair_set
