_base_ = './defusion-tiny_mask2former_4xb4-40k_msrs-480x640.py'

train_dataloader = dict(dataset=dict(data_root='data/mfnet/'))
val_dataloader = dict(
    dataset=dict(data_root='data/mfnet/', data_prefix=dict(img_path='val/vi', seg_map_path='val/labels'))
)
test_dataloader = dict(dataset=dict(data_root='data/mfnet/'))
