/**
 * libp2p 3 uses `Promise.withResolvers`, which Node has from version 22 on; under Node 20 it is added here, before any
 * of libp2p is loaded. Everything else that it needs is there.
 */
interface WithResolvers {
  withResolvers?: () => {
    promise: Promise<unknown>;
    resolve: (value: unknown) => void;
    reject: (reason: unknown) => void;
  };
}

(Promise as WithResolvers).withResolvers ??= () => {
  let resolve!: (value: unknown) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise((onFulfilled, onRejected) => {
    resolve = onFulfilled;
    reject = onRejected;
  });
  return { promise, resolve, reject };
};
