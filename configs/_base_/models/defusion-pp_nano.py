# A network for CPUs: 16x16 patches, 192 wide, 4 blocks, attention in windows, and a thin full-resolution path.
_base_ = 'defusion-pp_tiny.py'

model = dict(
    backbone=dict(arch='nano'),
    neck=dict(arch='nano'),
    # Blurred and faded cells besides noisy ones: with noise alone nothing asks for the stronger detail of two sources.
    # Half of the views are noisy, for only they teach the parts.
    target_generator=dict(degradations=('noise', 'noise', 'blur', 'contrast')),
    # Squared errors of parts, about as large as the others: thousands of steps of L1 leave the parts black.
    head=dict(part_loss='mse', common_weight=300.0, unique_weight=150.0, masked_weight=10.0),
)
