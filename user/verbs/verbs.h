/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs: each runs with argv[0] being its own name and returns the exit
 * status of the program. */
#ifndef TCPSAGA_VERBS_VERBS_H
#define TCPSAGA_VERBS_VERBS_H

int verb_trace(int argc, char **argv);
int verb_flows(int argc, char **argv);
int verb_queues(int argc, char **argv);
int verb_timewait(int argc, char **argv);
int verb_diagnose(int argc, char **argv);
int verb_port(int argc, char **argv);
int verb_explain(int argc, char **argv);
int verb_agent(int argc, char **argv);
int verb_record(int argc, char **argv);
int verb_probe(int argc, char **argv);
int verb_schema(int argc, char **argv);

#endif
