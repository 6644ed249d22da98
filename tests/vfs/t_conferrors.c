/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The conformance suite's cases about paths that are no good.
 */
#include "conf.h"

int
main(void)
{
	return conf_main("conformance of errors", conf_error_nth,
	    conf_errors());
}
