// Reads rows of "TIME RECEIVED SHARE STALE" and answers each with + or -. The messages come the way that
// rclcpp would bring them, through a node with just the members that the example uses.
#include <functional>
#include <iostream>
#include <limits>
#include <memory>
#include <string>

#include "group_smile.hpp"

struct Time
{
  double s;
  double seconds() const { return s; }
};

struct NodeClock
{
  double now_s = 0.0;
  Time now() const { return {now_s}; }
};

struct Subscription
{
  std::function<void(const group_smile::GroupAffect &)> callback;
};

struct Node
{
  std::shared_ptr<NodeClock> clock = std::make_shared<NodeClock>();
  std::string topic;

  Time now() const { return clock->now(); }
  std::shared_ptr<NodeClock> get_clock() const { return clock; }

  template<class Message, class Callback>
  std::shared_ptr<Subscription> create_subscription(
    const std::string & name, int, Callback && callback)
  {
    topic = name;
    return std::make_shared<Subscription>(Subscription{callback});
  }
};

int main()
{
  auto node = std::make_shared<Node>();
  auto snapshot = std::make_shared<group_smile::Snapshot>();
  auto subscription = group_smile::subscribe(node, snapshot);
  group_smile::GroupSmile smile(snapshot, group_smile::node_clock(node), group_smile::Hysteresis{});
  if (node->topic != "group_affect" || smile.holds()) {
    std::cerr << "nothing was received yet\n";
    return 1;
  }
  double now_s = 0.0;
  double received_s = 0.0;
  std::string share;
  bool stale = false;
  while (std::cin >> now_s >> received_s >> share >> stale) {
    group_smile::GroupAffect message;
    message.smiling_fraction =
      share == "nan" ? std::numeric_limits<float>::quiet_NaN() : std::stof(share);
    message.stale = stale;
    node->clock->now_s = received_s;
    subscription->callback(message);
    node->clock->now_s = now_s;
    std::cout << (smile.holds() ? '+' : '-');
  }
  std::cout << '\n';
  return 0;
}
