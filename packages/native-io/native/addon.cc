// Entry point of the addon. Knows Node-API and the names of the functions, nothing of what is behind them.
#include "guard.h"
#include "jobs.h"

static napi_value init(napi_env env, napi_value exports) {
  refill::installGuard();
  refill::createEnvironment(env);
  refill::exportJobControl(env, exports);
  refill::exportCalls(env, exports);
  refill::exportMemory(env, exports);
  refill::exportBatches(env, exports);
  refill::exportPeers(env, exports);
  return exports;
}

NAPI_MODULE(refill_io, init)
