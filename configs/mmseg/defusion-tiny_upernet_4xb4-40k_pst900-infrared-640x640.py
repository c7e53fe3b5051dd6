# The infrared image alone.
_base_ = './defusion-tiny_upernet_4xb4-40k_pst900-visible-640x640.py'

train_dataloader = dict(dataset=dict(data_prefix=dict(img_path='train/ir')))
val_dataloader = dict(dataset=dict(data_prefix=dict(img_path='test/ir')))
test_dataloader = val_dataloader
