"""What a network computes on the way: feature maps of stages and branches, and class activation.

Networks are looked at from outside, through hooks, so that they are the same whether somebody looks
or not.
"""
