/* The rules alone: pure. */
#include "kvcore/base/error.h"
#include "kvcore/server/snapshots.h"

#include <stdio.h>
#include <stdlib.h>

#define SEPARATORS " \t:" /* a colon where a space is hard to write: mount options */

static bool is_grown(const struct snapshots_state *state)
{
    return state->log_bytes > SNAPSHOTS_GROWTH_BYTES && state->log_bytes / SNAPSHOTS_GROWTH_FACTOR > state->last_bytes;
}

static bool a_rule_says_so(const struct snapshot_policy *policy, const struct snapshots_state *state, int64_t now_ms)
{
    uint64_t changes = state->index - state->last_index, seconds = (uint64_t)(now_ms - state->last_ms) / 1000;
    for (unsigned i = 0; i < policy->rule_count; i++)
        if (changes >= policy->rules[i].changes && seconds >= policy->rules[i].seconds)
            return true;
    return false;
}

enum snapshot_reason snapshots_due(const struct snapshot_policy *policy, const struct snapshots_state *state,
                                   int64_t now_ms)
{
    if (state->failed_ms && now_ms - state->failed_ms < SNAPSHOTS_RETRY_MS)
        return SNAPSHOT_NOT_DUE;
    if (state->log_broken)
        return SNAPSHOT_MENDS;
    if (state->index == state->last_index)
        return SNAPSHOT_NOT_DUE;
    if (state->asked && state->wanted_index > state->last_index)
        return SNAPSHOT_ASKED;
    if (a_rule_says_so(policy, state, now_ms))
        return SNAPSHOT_RULE;
    return state->log_full || is_grown(state) ? SNAPSHOT_GROWTH : SNAPSHOT_NOT_DUE;
}

/* One number of the rules; *text moves behind it. */
static bool take_number(const char **text, uint64_t *ret_number)
{
    const char *at = *text + strspn(*text, SEPARATORS);
    char *end;
    errno = 0;
    unsigned long long number = strtoull(at, &end, 10);
    if (*at < '0' || *at > '9' || errno || number == 0 || number > UINT32_MAX || (*end && !strchr(SEPARATORS, *end)))
        return false;
    *text = end + strspn(end, SEPARATORS);
    *ret_number = number;
    return true;
}

int snapshot_rules_parse(struct snapshot_policy *policy, const char *text, char *why, size_t why_bytes)
{
    struct snapshot_rule rules[SNAPSHOT_RULES_MAX] = {0};
    unsigned count = 0;
    for (const char *at = text + strspn(text, SEPARATORS); *at; count++) {
        if (count == SNAPSHOT_RULES_MAX) {
            snprintf(why, why_bytes, "save takes at most %d rules", SNAPSHOT_RULES_MAX);
            return -EINVAL;
        }
        if (!take_number(&at, &rules[count].seconds) || !take_number(&at, &rules[count].changes)) {
            snprintf(why, why_bytes,
                     "save takes pairs of seconds and changes, such as \"900 1 60 10000\", or \"\" for none; not '%s'",
                     text);
            return -EINVAL;
        }
    }
    memcpy(policy->rules, rules, count * sizeof *rules);
    policy->rule_count = count;
    return 0;
}
