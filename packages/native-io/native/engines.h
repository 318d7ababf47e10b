// Makes engines, so that the addon knows neither io_uring nor threads.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine.h"

namespace refill::engines {

/**
 * Names of what the kernel grants; `error` is minus errno when it refuses io_uring, or that many rings at a time: their
 * memory counts against RLIMIT_MEMLOCK.
 */
std::vector<std::string> uringFeatures(unsigned rings, int& error);
/** From now on this instance is served by threads. */
void useThreads(Instance& instance, unsigned readThreads, unsigned writeThreads);
std::unique_ptr<Engine> create(Instance& instance, Lane lane, int& error);

}  // namespace refill::engines
