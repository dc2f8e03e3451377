# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small shop: logins, sessions of two kinds and password-reset links, as most Django applications have them."""
