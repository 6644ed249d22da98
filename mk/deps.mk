# SPDX-License-Identifier: BSD-2-Clause
#
# The Debian packages, before anything is asked of a compiler or pkg-config.

ifndef QUERN_INNER
$(shell sh mk/deps.sh)
ifneq ($(.SHELLSTATUS),0)
$(error packages are missing, see above)
endif
endif
