"""Code that runs inside jails: standard library only, shipped to them as source text.

A jail holds no file of this package. The host reads these modules and sends them through the
request pipe, so nothing depends on who may read the checkout.
"""
