# SPDX-License-Identifier: Apache-2.0
"""Running and checking stores: an embedded one for one machine, least-privilege policies, live
checks of what a credential can do, and the store's own access log held against ours.
"""
