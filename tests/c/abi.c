/* Numbers, sizes and offsets that programs were compiled with: they never change within one ABI major.
 * What stands here is checked when this file is compiled; running it checks what only the library knows. */
#include "check.h"

#include <limits.h>

#define HOLDS(name, condition) typedef char name[(condition) ? 1 : -1]
/* The last field ends where the struct ends: a field that is added later cannot lie in what older programs left
 * uninitialised. */
#define ENDS_WITH(type, field) \
  HOLDS(type##_has_no_tail, offsetof(type, field) + sizeof(((type *)0)->field) == sizeof(type))

HOLDS(status_is_int32, sizeof(oneiro_status) == 4 && (oneiro_status)-1 < 0);
HOLDS(ok, ONEIRO_OK == 0);
HOLDS(invalid_argument, ONEIRO_INVALID_ARGUMENT == 1);
HOLDS(unknown_item, ONEIRO_UNKNOWN_ITEM == 2);
HOLDS(unsupported, ONEIRO_UNSUPPORTED == 3);
HOLDS(too_long, ONEIRO_TOO_LONG == 4);
HOLDS(io, ONEIRO_IO == 10);
HOLDS(bad_bundle, ONEIRO_BAD_BUNDLE == 11);
HOLDS(bundle_version, ONEIRO_BUNDLE_VERSION == 12);
HOLDS(runtime, ONEIRO_RUNTIME == 20);
HOLDS(out_of_memory, ONEIRO_OUT_OF_MEMORY == 21);
HOLDS(cancelled, ONEIRO_CANCELLED == 30);
HOLDS(deadline_exceeded, ONEIRO_DEADLINE_EXCEEDED == 31);
HOLDS(internal, ONEIRO_INTERNAL == 99);

HOLDS(log_levels, ONEIRO_LOG_OFF == 0 && ONEIRO_LOG_ERROR == 1 && ONEIRO_LOG_WARN == 2 && ONEIRO_LOG_INFO == 3 &&
                      ONEIRO_LOG_DEBUG == 4 && ONEIRO_LOG_TRACE == 5);
HOLDS(providers, ONEIRO_PROVIDER_CPU == 0);
HOLDS(prepack, ONEIRO_PREPACK_BUNDLE == 0 && ONEIRO_PREPACK_AUTO == 1 && ONEIRO_PREPACK_ON == 2 &&
                   ONEIRO_PREPACK_OFF == 3);
HOLDS(kernels, ONEIRO_KERNELS_OWN == 0 && ONEIRO_KERNELS_RUNTIME == 1);
HOLDS(attributes, ONEIRO_ATTRIBUTE_TAGS == 1 && ONEIRO_ATTRIBUTE_INTEGER == 2);
HOLDS(conditions, ONEIRO_WITH_ANY_TAG == 1 && ONEIRO_WITHOUT_TAGS == 2 && ONEIRO_BETWEEN == 3);
HOLDS(seen, ONEIRO_SEEN_BUNDLE == 0 && ONEIRO_SEEN_EXCLUDE == 1 && ONEIRO_SEEN_ALLOW == 2);
HOLDS(ways, ONEIRO_BY_POPULARITY == 1 && ONEIRO_BY_ENCODER == 2 && ONEIRO_BY_ORACLE == 3 &&
                ONEIRO_BY_Q_NETWORK == 4 && ONEIRO_BY_GENERATE == 5);
HOLDS(judges, ONEIRO_JUDGE_POPULARITY == 1 && ONEIRO_JUDGE_ENCODER == 2 && ONEIRO_JUDGE_Q_NETWORK == 3 &&
                  ONEIRO_JUDGE_LANGUAGE_MODEL == 4);
HOLDS(origins, ONEIRO_ORIGIN_POPULARITY == 1 && ONEIRO_ORIGIN_ENCODER == 2 && ONEIRO_ORIGIN_SIMILAR == 3 &&
                   ONEIRO_ORIGIN_PINNED == 4 && ONEIRO_ORIGIN_ORACLE == 5 && ONEIRO_ORIGIN_Q_NETWORK == 6 &&
                   ONEIRO_ORIGIN_LANGUAGE_MODEL == 7 && ONEIRO_ORIGIN_GENERATE == 8 &&
                   ONEIRO_ORIGIN_INTERPRETATION == 9 && ONEIRO_ORIGIN_ATTRIBUTION == 10);
HOLDS(samplers, ONEIRO_SAMPLER_AUTO == 0 && ONEIRO_SAMPLER_COLLAPSED == 1 && ONEIRO_SAMPLER_CHAIN == 2 &&
                    ONEIRO_SAMPLER_GRAPH == 3 && ONEIRO_SAMPLER_MEAN == 4);
HOLDS(ended, ONEIRO_ENDED_TOKEN == 1 && ONEIRO_ENDED_TEXT == 2 && ONEIRO_ENDED_COUNT == 3 &&
                 ONEIRO_ENDED_CONTEXT == 4 && ONEIRO_ENDED_DEADLINE == 5);
HOLDS(question, ONEIRO_QUESTION_RECOVER == 1 && ONEIRO_QUESTION_RESIDUAL == 2 && ONEIRO_QUESTION_DREAM == 3 &&
                    ONEIRO_QUESTION_DREAM_AS_ITEM == 4 && ONEIRO_QUESTION_EXPLAIN == 5);
HOLDS(no_value, ONEIRO_NO_VALUE == INT64_MIN);

ENDS_WITH(oneiro_graph_options, replicas);
ENDS_WITH(oneiro_engine_options, replicas);
ENDS_WITH(oneiro_condition, reserved);
ENDS_WITH(oneiro_filter, condition_count);
ENDS_WITH(oneiro_cap, most);
ENDS_WITH(oneiro_arrangement, dislike_weight);
ENDS_WITH(oneiro_call_options, user_data);
ENDS_WITH(oneiro_event, reserved);
ENDS_WITH(oneiro_generate_options, top_p);
ENDS_WITH(oneiro_score_options, reserved);

#if SIZE_MAX == UINT64_MAX
#define AT(type, field, offset) HOLDS(type##_##field, offsetof(type, field) == (offset))
AT(oneiro_graph_options, size, 0);
AT(oneiro_graph_options, name, 8);
AT(oneiro_graph_options, threads, 16);
AT(oneiro_graph_options, spinning, 24);
AT(oneiro_graph_options, provider, 28);
AT(oneiro_graph_options, prepack, 32);
AT(oneiro_graph_options, kernels, 36);
AT(oneiro_graph_options, replicas, 40);
AT(oneiro_engine_options, size, 0);
AT(oneiro_engine_options, threads, 8);
AT(oneiro_engine_options, spinning, 16);
AT(oneiro_engine_options, provider, 20);
AT(oneiro_engine_options, prepack, 24);
AT(oneiro_engine_options, kernels, 28);
AT(oneiro_engine_options, graphs, 32);
AT(oneiro_engine_options, graph_count, 40);
AT(oneiro_engine_options, replicas, 48);
AT(oneiro_condition, size, 0);
AT(oneiro_condition, attribute, 8);
AT(oneiro_condition, tags, 16);
AT(oneiro_condition, tag_count, 24);
AT(oneiro_condition, least, 32);
AT(oneiro_condition, greatest, 40);
AT(oneiro_condition, kind, 48);
AT(oneiro_condition, reserved, 52);
AT(oneiro_filter, size, 0);
AT(oneiro_filter, seen, 8);
AT(oneiro_filter, only_allowed, 12);
AT(oneiro_filter, excluded, 16);
AT(oneiro_filter, excluded_count, 24);
AT(oneiro_filter, allowed, 32);
AT(oneiro_filter, allowed_count, 40);
AT(oneiro_filter, conditions, 48);
AT(oneiro_filter, condition_count, 56);
AT(oneiro_call_options, size, 0);
AT(oneiro_call_options, cancel, 8);
AT(oneiro_call_options, encoder, 16);
AT(oneiro_call_options, threads, 24);
AT(oneiro_call_options, probes, 32);
AT(oneiro_call_options, arrangement, 40);
AT(oneiro_call_options, deadline_ms, 48);
AT(oneiro_call_options, oracle, 56);
AT(oneiro_call_options, steps, 64);
AT(oneiro_call_options, draws, 72);
AT(oneiro_call_options, guidance, 80);
AT(oneiro_call_options, sampler, 84);
AT(oneiro_call_options, seed, 88);
AT(oneiro_call_options, q_network, 96);
AT(oneiro_call_options, candidate_scores, 104);
AT(oneiro_call_options, weight, 112);
AT(oneiro_call_options, among, 116);
AT(oneiro_call_options, prompt, 120);
AT(oneiro_call_options, candidates, 128);
AT(oneiro_call_options, rank, 136);
AT(oneiro_call_options, grounding, 140);
AT(oneiro_call_options, generator, 144);
AT(oneiro_call_options, weigh, 152);
AT(oneiro_call_options, gamma, 156);
AT(oneiro_call_options, interpreter, 160);
AT(oneiro_call_options, on_text, 168);
AT(oneiro_call_options, user_data, 176);
AT(oneiro_cap, size, 0);
AT(oneiro_cap, attribute, 8);
AT(oneiro_cap, tag, 16);
AT(oneiro_cap, most, 24);
AT(oneiro_arrangement, size, 0);
AT(oneiro_arrangement, boosted, 8);
AT(oneiro_arrangement, boosts, 16);
AT(oneiro_arrangement, boost_count, 24);
AT(oneiro_arrangement, pinned, 32);
AT(oneiro_arrangement, places, 40);
AT(oneiro_arrangement, pin_count, 48);
AT(oneiro_arrangement, caps, 56);
AT(oneiro_arrangement, cap_count, 64);
AT(oneiro_arrangement, space, 72);
AT(oneiro_arrangement, pool, 80);
AT(oneiro_arrangement, diversity, 88);
AT(oneiro_arrangement, dislike_weight, 92);
AT(oneiro_event, size, 0);
AT(oneiro_event, kind, 8);
AT(oneiro_event, time, 16);
AT(oneiro_event, item, 24);
AT(oneiro_event, reserved, 28);
AT(oneiro_generate_options, size, 0);
AT(oneiro_generate_options, cancel, 8);
AT(oneiro_generate_options, stop, 16);
AT(oneiro_generate_options, stop_count, 24);
AT(oneiro_generate_options, tokens, 32);
AT(oneiro_generate_options, top_k, 40);
AT(oneiro_generate_options, deadline_ms, 48);
AT(oneiro_generate_options, seed, 56);
AT(oneiro_generate_options, temperature, 64);
AT(oneiro_generate_options, top_p, 68);
AT(oneiro_score_options, size, 0);
AT(oneiro_score_options, cancel, 8);
AT(oneiro_score_options, deadline_ms, 16);
AT(oneiro_score_options, among, 24);
AT(oneiro_score_options, reserved, 28);
#endif

int main(void) {
  CHECK(strcmp(oneiro_version(), ONEIRO_VERSION) == 0);
  CHECK(oneiro_abi_version() == ONEIRO_ABI_VERSION);
  CHECK(oneiro_abi_version() >> 16 == ONEIRO_ABI_MAJOR);

  oneiro_engine_options engine;
  oneiro_engine_options_init(&engine, sizeof engine);
  CHECK(engine.size == sizeof engine && engine.threads == 1 && engine.spinning == 0);
  CHECK(engine.provider == ONEIRO_PROVIDER_CPU && engine.prepack == ONEIRO_PREPACK_BUNDLE);
  CHECK(engine.graphs == NULL && engine.graph_count == 0 && engine.kernels == ONEIRO_KERNELS_OWN);
  CHECK(engine.replicas == 1);

  oneiro_graph_options graph;
  oneiro_graph_options_init(&graph, sizeof graph);
  CHECK(graph.size == sizeof graph && graph.name == NULL && graph.threads == 1 && graph.spinning == 0);
  CHECK(graph.provider == ONEIRO_PROVIDER_CPU && graph.prepack == ONEIRO_PREPACK_BUNDLE);
  CHECK(graph.kernels == ONEIRO_KERNELS_OWN && graph.replicas == 1);

  oneiro_condition condition;
  oneiro_condition_init(&condition, sizeof condition);
  CHECK(condition.size == sizeof condition && condition.attribute == NULL && condition.kind == 0);
  CHECK(condition.tags == NULL && condition.tag_count == 0 && condition.reserved == 0);
  CHECK(condition.least == INT64_MIN && condition.greatest == INT64_MAX);

  oneiro_filter filter;
  oneiro_filter_init(&filter, sizeof filter);
  CHECK(filter.size == sizeof filter && filter.seen == ONEIRO_SEEN_BUNDLE && filter.only_allowed == 0);
  CHECK(filter.excluded == NULL && filter.excluded_count == 0 && filter.allowed == NULL);
  CHECK(filter.allowed_count == 0 && filter.conditions == NULL && filter.condition_count == 0);

  oneiro_call_options call;
  oneiro_call_options_init(&call, sizeof call);
  CHECK(call.size == sizeof call && call.cancel == NULL && call.encoder == NULL && call.threads == 1);
  CHECK(call.probes == 0 && call.arrangement == NULL && call.deadline_ms == ONEIRO_NO_VALUE);
  CHECK(call.oracle == NULL && call.steps == 0 && call.draws == 1 && call.guidance == -1 && call.seed == 0);
  CHECK(call.sampler == ONEIRO_SAMPLER_AUTO && call.q_network == NULL && call.candidate_scores == NULL);
  CHECK(call.weight == -1 && call.gamma == -1 && call.weigh == 0 && call.grounding == ONEIRO_GROUNDING_BEST);
  CHECK(call.among == ONEIRO_AMONG_VOCABULARY && call.prompt == NULL);
  CHECK(call.candidates == 0 && call.rank == 0 && call.interpreter == NULL && call.generator == NULL);
  CHECK(call.on_text == NULL && call.user_data == NULL);

  oneiro_cap cap;
  oneiro_cap_init(&cap, sizeof cap);
  CHECK(cap.size == sizeof cap && cap.attribute == NULL && cap.tag == NULL && cap.most == 0);

  oneiro_arrangement arrangement;
  oneiro_arrangement_init(&arrangement, sizeof arrangement);
  CHECK(arrangement.size == sizeof arrangement && arrangement.boosted == NULL && arrangement.boosts == NULL);
  CHECK(arrangement.boost_count == 0 && arrangement.pinned == NULL && arrangement.places == NULL);
  CHECK(arrangement.pin_count == 0 && arrangement.caps == NULL && arrangement.cap_count == 0);
  CHECK(arrangement.space == NULL && arrangement.pool == 200);
  CHECK(arrangement.diversity == 1.0f && arrangement.dislike_weight == 1.0f);

  oneiro_event event;
  oneiro_event_init(&event, sizeof event);
  CHECK(event.size == sizeof event && event.kind == NULL && event.time == ONEIRO_NO_VALUE);
  CHECK(event.item == 0 && event.reserved == 0);

  oneiro_generate_options generate;
  oneiro_generate_options_init(&generate, sizeof generate);
  CHECK(generate.size == sizeof generate && generate.cancel == NULL && generate.stop == NULL);
  CHECK(generate.stop_count == 0 && generate.tokens == 256 && generate.top_k == 0 && generate.seed == 0);
  CHECK(generate.deadline_ms == ONEIRO_NO_VALUE && generate.temperature == 0 && generate.top_p == 1);

  oneiro_score_options score;
  oneiro_score_options_init(&score, sizeof score);
  CHECK(score.size == sizeof score && score.cancel == NULL && score.deadline_ms == ONEIRO_NO_VALUE);
  CHECK(score.among == ONEIRO_AMONG_VOCABULARY && score.reserved == 0);
  return 0;
}
