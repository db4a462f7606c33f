#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What the look at the kernel's tables that comes each minute leaves as it is. Apart from
# the others (truth.bats), which do not wait that long.

bats_require_minimum_version 1.5.0
load lib.bash
load truth.bash

count_syn_sent() { # WHAT
    jq -n -r --argjson netns "$INODE" '[inputs | select(.type == "connection" and .netns == $netns and
        .state == "SYN_SENT") | '"$1"'] | length' "$WORK/saga.json"
}

was_looked_at() { [ "$SECONDS" -gt "$1" ]; }

# The record of their birth tells no port yet, and where it names them by an address no
# cookie either: the rows of the look that comes each minute are theirs all the same.
@test "truth: connects that nobody answers, after a minute" {
    hold before ip netns exec "$NETNS" "$SNAPSHOT" unanswered 5 8009
    watch_flows
    hold one ip netns exec "$NETNS" "$SNAPSHOT" unanswered 1 8010
    hold several ip netns exec "$NETNS" "$SNAPSHOT" unanswered 5 8011
    PATIENCE_S=90 until_true "the look" was_looked_at $((SECONDS + 65))
    ss_counts "$NETNS" >"$WORK/ss"
    stop_watching
    saga_counts "$INODE" >"$WORK/told"
    are_the_same "by state"
    [ "$(count_syn_sent .)" = 11 ]
    [ "$(count_syn_sent 'select(.preexisting)')" = 5 ]
    [ "$(count_syn_sent 'select(.process.comm == "snapshot")')" = 11 ]
    [ "$(count_syn_sent 'select(.remote.port == 8010 and .local.port > 0)')" = 1 ]
}
