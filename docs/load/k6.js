// k6 run docs/load/k6.js: an open loop of 100 orders per second. Reflection must be on (GRPC_REFLECTION, the default).
import grpc from 'k6/net/grpc';
import { check } from 'k6';

export const options = {
  scenarios: {
    orders: {
      executor: 'constant-arrival-rate',
      rate: 100,
      timeUnit: '1s',
      duration: '30s',
      preAllocatedVUs: 100,
      maxVUs: 1000,
    },
  },
  thresholds: {
    grpc_req_duration: ['p(99)<50'],
    checks: ['rate>0.999'],
    dropped_iterations: ['count==0'],
  },
};

const client = new grpc.Client();

// A version 4 UUID.
function uuid() {
  return 'xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx'.replace(/x/g, () => Math.floor(Math.random() * 16).toString(16));
}

function line(sku, pence) {
  return { sku, quantity: 6, unit_price: { currency_code: 'GBP', minor_units: pence } };
}

export default function () {
  if (__ITER === 0) {
    client.connect(__ENV.TARGET || '127.0.0.1:50051', { plaintext: true, reflect: true });
  }
  const order = {
    request_id: uuid(),
    customer_id: '17850',
    payment_token: 'tok_approved',
    lines: [line('85123A', 255), line('71053', 339)],
  };
  const response = client.invoke('orders.v1.OrderService/PlaceOrder', order);
  check(response, { accepted: (answer) => answer && answer.status === grpc.StatusOK });
}
