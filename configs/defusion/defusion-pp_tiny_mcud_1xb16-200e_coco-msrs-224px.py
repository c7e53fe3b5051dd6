# The second stage as published: multi-modal decomposition of MSRS pairs beside decomposition of photos, from the
# checkpoint of the first stage (configs/defusion_pretrain.py) and with two teachers of ViT-B/16.
#
# Adam, 200 epochs, learning rate 1e-4 halved at 80, 160, 180 and 190. The release does not say what an epoch is; here
# it is one pass through the pairs, 67 batches of them and as many of photos.
# Not run: neither COCO nor MSRS train nor teachers of this size were at hand.
_base_ = [
    '../_base_/models/defusion-pp_tiny.py',
    '../_base_/datasets/coco_msrs_mcud.py',
    '../_base_/schedules/defusion_50e.py',
    '../_base_/default_runtime.py',
]

encoder = dict(type='MAEViT', img_size=224, patch_size=16, embed_dims=768, depth=12, num_heads=12)
model = dict(
    # The teacher of the first source, then that of the second.
    teachers=[
        dict(
            type='FrozenEncoder',
            encoder=encoder,
            checkpoint='data/teachers/mae_pretrain_vit_base.pth',
            recipe='download mae_pretrain_vit_base.pth of github.com/facebookresearch/mae',
            dtype='auto',
        ),
        dict(
            type='FrozenEncoder',
            encoder=encoder,
            checkpoint='work_dirs/mae_vit-base-p16_8xb64-400e_infrared-224px/epoch_400.pth',
            recipe='tools/dist_train.sh configs/mae/mae_vit-base-p16_8xb64-400e_infrared-224px.py 8',
            dtype='auto',
        ),
    ],
    mcud_head=dict(
        type='MCUDHead',
        arch='tiny',
        teacher_dims=(768, 768),
        source1_weight=1.0,
        source2_weight=1.0,
        consistency_weight=1.0,
        kinds=('infrared_visible',),
    ),
)

optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[80, 160, 180, 190], gamma=0.5)]
train_cfg = dict(max_epochs=200, val_interval=10)
default_hooks = dict(checkpoint=dict(interval=10))

load_from = 'work_dirs/defusion_pretrain/epoch_50.pth'
# Batches of photos and of pairs train different heads.
find_unused_parameters = True
