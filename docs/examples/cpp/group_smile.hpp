// Whether the group smiles, from social_perception/msg/GroupAffect: without flicker, and false as soon
// as the data is stale. Needs the generated messages only; neither rclcpp nor BehaviorTree.CPP.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include <social_perception/msg/group_affect.hpp>

namespace group_smile
{

using GroupAffect = social_perception::msg::GroupAffect;
using Clock = std::function<double()>;  // the time in s

// When the share of smiling people counts as a yes, and when no more.
struct Hysteresis
{
  double on = 0.5;           // from here on the group smiles
  double off = 0.3;          // below this it smiles no more
  double on_dwell_s = 1.0;   // time for which it must smile
  double off_dwell_s = 0.5;  // time for which it must not
  double max_gap_s = 1.0;    // not asked for longer than this: begin anew
};

class Switch
{
public:
  explicit Switch(const Hysteresis & hysteresis) : hysteresis_(hysteresis) {}

  void reset() { is_on_ = is_high_ = has_last_ = false; }

  // Takes in a value; NaN is unknown.
  bool update(double value, double now_s)
  {
    const double gap_s = now_s - last_s_;
    if (has_last_ && (gap_s < 0.0 || gap_s > hysteresis_.max_gap_s)) {
      reset();
    }
    if (std::isnan(value)) {
      reset();
      return false;
    }
    const bool was_high = is_high_;
    is_high_ = value >= (was_high ? hysteresis_.off : hysteresis_.on);
    if (!has_last_ || is_high_ != was_high) {
      changed_s_ = now_s;
    }
    has_last_ = true;
    last_s_ = now_s;
    const double dwell_s = is_high_ ? hysteresis_.on_dwell_s : hysteresis_.off_dwell_s;
    if (is_high_ != is_on_ && now_s - changed_s_ >= dwell_s - 1e-6) {
      is_on_ = is_high_;
    }
    return is_on_;
  }

private:
  Hysteresis hysteresis_;
  bool is_on_ = false;
  bool is_high_ = false;
  bool has_last_ = false;
  double changed_s_ = 0.0;
  double last_s_ = 0.0;
};

// The newest GroupAffect: written by a subscription's callback, read by the tree, in any thread.
class Snapshot
{
public:
  struct Received
  {
    GroupAffect group;
    double time_s;
  };

  void put(const GroupAffect & group, double now_s)
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    received_ = Received{group, now_s};
  }

  std::optional<Received> get() const
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    return received_;
  }

private:
  mutable std::mutex mutex_;
  std::optional<Received> received_;
};

// The question that a tree asks.
class GroupSmile
{
public:
  GroupSmile(std::shared_ptr<const Snapshot> snapshot, Clock clock, const Hysteresis & hysteresis,
             double max_age_s = 1.0)
  : snapshot_(std::move(snapshot)), clock_(std::move(clock)), switch_(hysteresis),
    max_age_s_(max_age_s)
  {}

  // Stale, missing or unknown data is a no, and the dwell begins anew.
  bool holds()
  {
    const auto received = snapshot_->get();
    const double now_s = clock_();
    const double age_s = received ? now_s - received->time_s : 0.0;
    if (!received || received->group.stale || age_s < 0.0 || age_s > max_age_s_) {
      switch_.reset();
      return false;
    }
    return switch_.update(received->group.smiling_fraction, now_s);
  }

private:
  std::shared_ptr<const Snapshot> snapshot_;
  Clock clock_;
  Switch switch_;
  double max_age_s_;
};

// Subscribes with a node (rclcpp::Node::SharedPtr); keep what is returned. The node's clock tells the
// time: node_clock(node) is the one to give to GroupSmile.
template<class NodePtr>
Clock node_clock(const NodePtr & node)
{
  return [node] { return node->now().seconds(); };
}

template<class NodePtr>
auto subscribe(const NodePtr & node, std::shared_ptr<Snapshot> snapshot)
{
  auto clock = node->get_clock();  // not the node: its subscription must not keep it alive
  return node->template create_subscription<GroupAffect>(
    "group_affect", 1, [clock, snapshot](const GroupAffect & message) {
      snapshot->put(message, clock->now().seconds());
    });
}

}  // namespace group_smile
