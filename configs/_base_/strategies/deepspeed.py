# ZeRO stage 2 by DeepSpeed, in bfloat16, see docs/en/user_guides/distributed.md for what else a config needs.
runner_type = 'FlexibleRunner'
strategy = dict(
    type='DeepSpeedStrategy',
    zero_optimization=dict(stage=2),
    bf16=dict(enabled=True),
    gradient_clipping=20 / 16,
    gradient_accumulation_steps=1,
)
