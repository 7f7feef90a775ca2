"""StyleGAN2 (Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020).

Configuration f: generator with summed RGB outputs, residual discriminator.
"""
