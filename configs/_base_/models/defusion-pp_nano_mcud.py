# nano with the losses of multi-modal decomposition and two small teachers, made by configs/mae.
_base_ = 'defusion-pp_nano.py'

encoder = dict(type='MAEViT', img_size=160, patch_size=16, embed_dims=192, depth=6, num_heads=6)
model = dict(
    # As in pretraining.
    neck=dict(frozen_queries=True),
    # The teacher of the first source, then that of the second.
    teachers=[
        dict(
            type='FrozenEncoder',
            encoder=encoder,
            checkpoint='work_dirs/mae_vit-nano-p16_1xb64-30e_photos-160px/epoch_30.pth',
            recipe='python tools/train.py configs/mae/mae_vit-nano-p16_1xb64-30e_photos-160px.py',
            dtype='auto',
        ),
        dict(
            type='FrozenEncoder',
            encoder=encoder,
            checkpoint='work_dirs/mae_vit-nano-p16_1xb64-30e_infrared-160px/epoch_30.pth',
            recipe='python tools/train.py configs/mae/mae_vit-nano-p16_1xb64-30e_infrared-160px.py',
            dtype='auto',
        ),
    ],
    mcud_head=dict(
        type='MCUDHead',
        arch='nano',
        teacher_dims=(192, 192),
        # The published weights. Larger ones take away what pretraining has taught the common part.
        source1_weight=1.0,
        source2_weight=1.0,
        consistency_weight=1.0,
        kinds=('infrared_visible',),
    ),
)
