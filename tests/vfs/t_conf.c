/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The conformance suite.
 */
#include "conf.h"

int
main(void)
{
	return conf_main("conformance", conf_nth, conf_count());
}
