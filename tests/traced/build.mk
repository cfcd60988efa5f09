# SPDX-License-Identifier: MIT
#
# build/tests/traced tests nothing: it does what tests/docs/tracing.sh looks at.
OWN_MAIN_traced := 1
