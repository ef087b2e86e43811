import Layers
import Tensors
import Testing

@Suite struct ParameterLayoutTests {
    private let layout: ParameterLayout = {
        var layout = ParameterLayout()
        layout.append([.init("a", [2, 3]), .init("b", [4])], group: ParameterGroup("first"))
        layout.append([.init("c", [5])], group: ParameterGroup("second", rateFactor: 0.5, decay: .none))
        return layout
    }()

    @Test func placesFollowEachOther() {
        #expect(layout.count == 15 && layout.entries.map(\.range) == [0..<6, 6..<10, 10..<15])
        #expect(layout.slot(of: "b") == ParameterSlot(offset: 6, shape: [4]) && layout.slot(of: "d") == nil)
    }

    @Test func numbersKnowTheirParameter() {
        let names = (-1...15).map { layout.entry(containing: $0)?.name }
        #expect(names[0] == nil && names[16] == nil)
        #expect(names[1...15].compactMap(\.self).map(Character.init) == Array("aaaaaabbbbccccc"))
    }

    @Test func groupsOfASlice() {
        func parts(_ range: Range<Int>) -> [String] {
            layout.groups(in: range).map { "\($0.group.name) \($0.range)" }
        }
        #expect(parts(0..<15) == ["first 0..<10", "second 10..<15"])
        #expect(parts(4..<8) == ["first 4..<8"] && parts(9..<12) == ["first 9..<10", "second 10..<12"])
        #expect(parts(3..<3).isEmpty)
    }

    @Test func gradientsAddUpAtTheirPlace() {
        var gradients = GradientBuffer(layout)
        let slot = ParameterSlot(offset: 6, shape: [4])
        gradients.add(Tensor([1, 2, 3, 4], [4]), at: slot)
        gradients.add(Tensor([1, 1, 1, 1], [2, 2]), at: slot)
        #expect(gradients.values.elements == [0, 0, 0, 0, 0, 0, 2, 3, 4, 5, 0, 0, 0, 0, 0])
    }
}
