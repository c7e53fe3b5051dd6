# MFNet: streets by day and night, 640x480, 784 pairs for training, 392 for validation, 393 for testing.
#
# python tools/dataset_converters/segmentation_pairs.py mfnet PUBLISHED -o data/mfnet
#
# data/mfnet
# └── {train,val,test}/{vi,ir,labels}/NAME.png
_base_ = './msrs_segmentation.py'

dataset = dict(data_root='data/mfnet/')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dict(**dataset, data_prefix=dict(img_path='val/vi', seg_map_path='val/labels')))
test_dataloader = dict(dataset=dataset)
