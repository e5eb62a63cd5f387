//! Records on disk: the interface to engines, their encryption, the one writer. Engines never see a name or
//! a key in the clear.
